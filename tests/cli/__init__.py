"""The command line, part by part; whole commands are in tests/e2e/test_cli.py."""
