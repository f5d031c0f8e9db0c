"""Runs: one method trained, evaluated, kept in a folder and merged."""
