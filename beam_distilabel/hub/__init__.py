"""Publishing on the Hugging Face Hub: files go up in parallel, then one commit names them all.

`HubTarget` says where to, `Destination` is that repository as it was at launch, `upload` puts
shards there, `commit_once` makes the one commit, and `Publication` is what it has in it.
"""

from beam_distilabel.hub.commit import CommitRecord, commit_once
from beam_distilabel.hub.destination import Destination, open_destination
from beam_distilabel.hub.publication import Publication
from beam_distilabel.hub.script import read_script
from beam_distilabel.hub.target import HubTarget, as_target, find_token, read_token
from beam_distilabel.hub.upload import StoredFile, upload

__all__ = [
    "CommitRecord",
    "Destination",
    "HubTarget",
    "Publication",
    "StoredFile",
    "as_target",
    "commit_once",
    "open_destination",
    "read_script",
    "find_token",
    "read_token",
    "upload",
]
