"""Google's side of a Dataflow job, on this machine: the service, Cloud Storage, and the login.

Jobs that are posted are really run, from the file that was staged for them, by Beam's in-memory
runner in this process.
"""
