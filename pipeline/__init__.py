"""danas-deploy: data-aware architecture search, from images to a network proven on a board."""

__version__ = "0.1.0"
