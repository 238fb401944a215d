"""The Hub's token and rights, at the local Hub."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from huggingface_hub import HfApi, constants
from pydantic import SecretStr

from beam_distilabel.doctor.hub import look_at_rights, look_at_token
from tests.hub.server import HubServer


def test_a_token_that_may_write(hub: HubServer, hub_client: Path) -> None:
    finding = look_at_token()
    assert finding.status == "ok"
    assert hub.namespace in finding.detail and hub.url in finding.detail
    assert look_at_rights().detail == "the token has the role 'write'"
    repo_id = f"{hub.namespace}/data"
    assert look_at_rights(repo_id=repo_id).status == "warning"  # a run would create it
    HfApi(endpoint=hub.url, token=hub.token).create_repo(repo_id, repo_type="dataset")
    assert look_at_rights(repo_id=repo_id).status == "ok"


def test_a_token_that_may_only_read(hub: HubServer, hub_client: Path) -> None:
    repo_id = f"{hub.namespace}/data"
    HfApi(endpoint=hub.url, token=hub.token).create_repo(repo_id, repo_type="dataset")
    token = SecretStr(hub.add_user(hub.namespace, role="read"))
    assert look_at_token(token).status == "ok"
    finding = look_at_rights(token)
    assert (finding.status, "'read'" in finding.detail) == ("warning", True)
    for dataset in (repo_id, f"{hub.namespace}/another"):
        finding = look_at_rights(token, dataset)
        assert finding.status == "failed"
        assert "right to write" in finding.remedy
    assert "create_pr" in look_at_rights(token, repo_id).remedy


def test_fine_grained_tokens(hub: HubServer, hub_client: Path) -> None:
    def token(*permissions: str) -> SecretStr:
        made = hub.add_user(hub.namespace, role="fineGrained", permissions=permissions)
        return SecretStr(made)

    may = look_at_rights(token("repo.write"))
    assert (may.status, hub.namespace in may.detail) == ("ok", True)
    assert look_at_rights(token("repo.content.read")).status == "warning"


def test_tokens_that_do_not_work(
    hub: HubServer, hub_client: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = look_at_token(SecretStr("hf_unknown"))
    assert finding.status == "failed"
    assert "doesn't accept the token" in finding.detail and "hf_unknown" not in finding.detail
    assert look_at_rights(SecretStr("hf_unknown")).status == "skipped"
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    assert look_at_token().status == "warning"


def test_offline(hub_client: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    finding = look_at_token()
    assert (finding.status, "HF_HUB_OFFLINE" in finding.detail) == ("skipped", True)


def test_a_hub_that_does_not_answer(hub_client: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    finding = look_at_token()
    assert finding.status == "failed"
    assert "doesn't answer" in finding.detail and "HF_ENDPOINT" in finding.remedy
