"""What workers get: code, packages, files, and no secrets."""
