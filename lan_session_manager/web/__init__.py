"""The web: application, guards, routes, live hub and the dashboard's files."""
