"""Tests of the Steps that load data."""
