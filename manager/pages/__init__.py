"""The pages, a module for each entry of the menu; `ROUTES` of each are collected by `manager/app.py`."""
