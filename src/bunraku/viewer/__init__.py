"""Values, rigs and players in the browser, live. It knows `core` alone: what it shows is handed to it."""
