"""The report as one page that stands alone: ``report.html``, with nothing from the network.

``material`` is what the page shows beside the Report, ``architecture`` the network stage by stage, ``figures`` and
``searching`` the charts (Vega-Lite, made with altair), ``script`` what draws them, ``page`` the whole.
"""
