"""Experiments that anyone can repeat: searches that differ in one thing, and what is concluded from them."""
