"""The JSON endpoints beneath /api/v1, a module for each subject; `manager/app.py` collects their `ROUTES`."""
