"""The JSON endpoints beneath /api/v1, a module for each subject; `ROUTES` are collected by `manager/app.py`."""
