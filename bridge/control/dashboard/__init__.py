"""The dashboard: pages for a browser, served beside the REST API, which they use like any other caller."""
