"""The watchdog: downloads a real file from every server that should run, again and again."""
