"""The back office's looks: the only folder that imports the admin theme."""
