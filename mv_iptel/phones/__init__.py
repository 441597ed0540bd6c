"""Phones understood: their scripts, their parameters, and simulated ones that boot."""
