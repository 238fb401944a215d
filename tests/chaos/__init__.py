"""Runs that are killed, disks that are full, files that are damaged: nothing is paid for twice."""
