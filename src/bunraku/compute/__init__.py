"""Where independent pieces of work run: this process, or worker processes; one small interface for both."""
