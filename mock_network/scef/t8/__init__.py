"""The T8 APIs of the emulated SCEF over HTTP: `app` has the routes, one module has the handlers of one API."""
