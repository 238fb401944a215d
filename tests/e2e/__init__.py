"""Tests of the whole: the real engine, the Hub over HTTP, the command line."""
