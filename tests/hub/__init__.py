"""A Hub for tests: real HTTP, spoken to by the unmodified `huggingface_hub` and `datasets`.

`HubServer` keeps repositories on disk with a real history (commits with parents, branches, tags,
pull request refs, LFS objects by SHA-256) and serves what the clients ask: accounts, repositories,
preupload, LFS uploads of one or several parts, commits with `parentCommit` and `create_pr`, trees,
path infos, refs, history, `resolve` with ranges, dataset info, card validation, discussions and
pull requests, and the listing of Parquet files. LFS contents come from a second port by signed
address, so that it shows when a client sends its token to an object store.

It doesn't serve: Xet, diffs of pull requests, cross-repository copies, `.gitignore`
(`shouldIgnore` is always false), the dataset viewer's own host, repository search.

**What a test can arrange**, besides repositories (`add_dataset`, `add_files`):

- `hub.add_conversion(repo_id, {"<config>/<split>/0000.parquet": content})`: the Hub's own Parquet
  conversion, at the revision `refs/convert/parquet`, which the Parquet listing then shows. A split
  converted in part is `<config>/partial-<split>/0000.parquet`.
- `hub.faults.append(Fault(...))`: a status, a lost connection (before or after the work), a body
  cut short, a slow reply, or something that happens while a request waits; `Fault.rate_limited`,
  `Fault.commit_in_progress` (409) and `Fault.head_moved` (412) are those that the Hub is known for.
- `hub.add_user(name, role=...)`, `hub.expire(token)`, `hub.add_pr_only_token()`: tokens. The client
  makes of a 401 on an address of a repository a `RepositoryNotFoundError`, except where the token
  is unknown: so it calls an expired token. That holds for https, and here under `hub_client`; in a
  subprocess with `client_env` the same is an `HfHubHTTPError`.
- `hub.uploaded[sha256]`, `hub.downloaded[sha256]`: how many bytes of a file's content went over the
  wire, each attempt counted.

**In tests.** `tests/conftest.py` has::

    from tests.hub.fixtures import hub, hub_client, hub_server  # noqa: F401

`hub` is one server for the session with a fresh user, namespace, log and fault list per test::

    def test_reads_the_hub(hub: HubServer, hub_client: Path) -> None:
        hub.add_dataset(f"{hub.namespace}/small", {"train.jsonl": b'{"a": 1}'})
        hub.faults.append(Fault("GET", r"/resolve/", status=503))
        assert load_dataset(f"{hub.namespace}/small", split="train")[0] == {"a": 1}
        assert not any(line.method == "POST" for line in hub.requests)

Clients ask for more than one thinks (a README, a script, a card): search the log, don't
compare it whole.

**Which process.** `HF_ENDPOINT` and most settings are read when the clients are imported.

- A subprocess: `subprocess.run(..., env=client_env(hub, home))`. Always right. Processes that a
  test under `hub_client` starts, such as Beam workers, inherit the same through the environment.
- This process: take the fixture `hub_client` (`patch_client`). It is reliable because the clients
  read these through their modules at each call: `huggingface_hub.constants.{ENDPOINT,
  HUGGINGFACE_CO_URL_TEMPLATE, HF_HUB_CACHE, HF_TOKEN_PATH, HF_HUB_DISABLE_XET, ...}`,
  `datasets.config.{HF_ENDPOINT, HUB_DATASETS_URL, HF_DATASETS_CACHE, DOWNLOADED_DATASETS_PATH,
  HF_HUB_OFFLINE, ...}`, and the variable `HF_TOKEN`. Two objects took the endpoint when they were
  made and are patched themselves: `huggingface_hub.hf_api.api` (behind
  `huggingface_hub.create_repo` and its like) and `huggingface_hub.hf_file_system.hffs`.
- Not reliable in this process: an `HfApi`, `HfFileSystem` or `fsspec` file system that was made
  before the fixture ran, and `from ... import ENDPOINT` (`huggingface_hub.cli`, git credentials).
"""

from tests.hub.client import client_env, patch_client
from tests.hub.faults import Fault
from tests.hub.server import HubServer, Request

__all__ = ["Fault", "HubServer", "Request", "client_env", "patch_client"]
