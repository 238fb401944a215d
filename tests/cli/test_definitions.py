"""Reading pipelines and scripts from servers: to whom the token goes, and what is refused."""

from __future__ import annotations

import json
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from beam_distilabel import fetching
from beam_distilabel.cli import definitions
from beam_distilabel.cli.definitions import load_pipeline, read_pipeline
from beam_distilabel.errors import DistilabelUserError
from beam_distilabel.fetching import fetch, hub_file, origin_of
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.pipeline.serialization import read_parameters
from beam_distilabel.steps import KeepColumns
from tests.hub import HubServer
from tests.json_server import Answer, JsonServer, Request

TOKEN = "hf_" + "t0ken" * 8

with Pipeline(name="fetched") as _pipeline:
    KeepColumns(name="keep", columns=["a"])
YAML = json.dumps(_pipeline.dump()).encode()  # JSON is YAML
SCRIPT = b"""
from beam_distilabel.pipeline import Pipeline
from beam_distilabel.pipeline.serialization import read_parameters
from beam_distilabel.steps import KeepColumns

with Pipeline(name="remote") as pipeline:
    KeepColumns(name="keep", columns=["a"])
"""


def text(content: bytes, kind: str = "text/plain") -> Answer:
    return Answer(content, headers={"content-type": kind})


class Switched:
    """A server whose answer is set by each test."""

    def __init__(self) -> None:
        self.answer: Callable[[Request], Answer] = lambda request: text(YAML)
        self.server = JsonServer(lambda request: self.answer(request))


@pytest.fixture(scope="module")
def switched() -> Iterator[list[Switched]]:
    """Two servers, each on a port of its own: another origin than the other."""
    both = [Switched(), Switched()]
    with both[0].server, both[1].server:
        yield both


@pytest.fixture
def serve(switched: list[Switched]) -> Callable[..., JsonServer]:
    """Gives a server that answers so; the second time another one."""
    free = iter(switched)

    def start(answer: Callable[[Request], Answer] | bytes) -> JsonServer:
        one = next(free)
        one.answer = answer if callable(answer) else lambda request: text(answer)
        one.server.received.clear()
        one.server.troubles.clear()
        return one.server

    return start


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)


def endpoint(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)


def tokens(server: JsonServer) -> list[str | None]:
    return [request.headers.get("authorization") for request in server.received]


# -- whom the token is for ---------------------------------------------------------------------


@pytest.mark.usefixtures("login")
def test_the_token_goes_to_the_hub_and_to_no_other_server(
    serve: Callable[..., JsonServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, other = serve(YAML), serve(YAML)
    endpoint(monkeypatch, hub.url)
    assert read_pipeline(f"{hub.url}/datasets/a/b/raw/main/pipeline.yaml").name == "fetched"
    assert read_pipeline(f"{other.url}/pipeline.yaml").name == "fetched"
    assert tokens(hub) == [f"Bearer {TOKEN}"]
    assert tokens(other) == [None]
    # The same host by another name, or another port of it, is another place.
    assert fetch(hub.url.replace("127.0.0.1", "localhost") + "/x").content == YAML
    assert tokens(hub)[1:] == [None]


@pytest.mark.parametrize("explicit", [False, True])
@pytest.mark.parametrize("back", [False, True])
def test_a_redirect_takes_no_token_along(
    serve: Callable[..., JsonServer],
    monkeypatch: pytest.MonkeyPatch,
    explicit: bool,
    back: bool,
) -> None:
    if not explicit:
        monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub = serve(lambda request: text(YAML) if request.path == "/end" else Answer({}, 404))
    other = serve(YAML)
    endpoint(monkeypatch, hub.url)
    hub.troubles.append(Answer({}, 302, {"location": "/datasets/moved"}))  # on the same host
    hub.troubles.append(Answer({}, 307, {"location": f"{other.url}/away"}))
    if back:
        other.troubles.append(Answer({}, 302, {"location": f"{hub.url}/end"}))
    assert fetch(f"{hub.url}/start", TOKEN if explicit else None).content == YAML
    assert tokens(other) == [None]
    # Once it has left, a redirect that another server wrote doesn't bring the token back.
    assert tokens(hub) == [f"Bearer {TOKEN}"] * 2 + [None] * back


@pytest.mark.usefixtures("login")
def test_addresses_that_only_look_like_the_hubs(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint(monkeypatch, "https://huggingface.co")
    asked: list[tuple[str, str | None]] = []

    def get(url: str, token: str | None, *_: object) -> fetching.Fetched:
        asked.append((url, token))
        return fetching.Fetched(b"", "")

    monkeypatch.setattr(fetching, "_get", get)
    trusted = ["https://huggingface.co/a", "HTTPS://HuggingFace.co:443/a"]
    others = [
        "https://huggingface.co.evil/a",
        "https://huggingface.co.evil.example/a",
        "https://evil.example/huggingface.co",
        "https://huggingface.co:8443/a",
        "http://huggingface.co/a",
        "https://hugging\uff46ace.co.example/a",
    ]
    for url in (*trusted, *others):
        fetch(url)
    assert [token for _, token in asked] == [TOKEN] * 2 + [None] * len(others)


@pytest.mark.parametrize(
    "url",
    [
        "https://huggingface.co@evil.example/pipeline.yaml",
        "https://me:passw0rd-9@huggingface.co/pipeline.yaml",
        "https://huggingface.co\\@evil.example/pipeline.yaml",
        "https://:passw0rd-9@host/pipeline.yaml",
    ],
)
def test_users_and_passwords_in_addresses_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(DistilabelUserError, match="user name or password") as refused:
        read_pipeline(url)
    assert "passw0rd-9" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "https:///pipeline.yaml",
        "http://host:port/a.yaml",
        "https://a b/c.yaml",
        "https://x/\n.yaml",
    ],
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(DistilabelUserError, match="is no"):
        fetch(url)


@given(st.text(max_size=40))
def test_no_text_is_taken_for_the_hub_by_accident(rest: str) -> None:
    try:
        origin = origin_of(f"https://huggingface.co{rest}")
    except ValueError:
        return
    if origin == ("https", "huggingface.co", 443):
        assert rest.lower().lstrip("\t\r\n")[:1] in ("", "/", "?", "#", ":")


@pytest.mark.usefixtures("login")
def test_no_error_has_the_token(
    serve: Callable[..., JsonServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def echo(request: Request) -> Answer:
        return Answer({"you said": request.headers.get("authorization")}, 403)

    hub = serve(echo)
    endpoint(monkeypatch, hub.url)
    with pytest.raises(DistilabelUserError, match="the token may not read it") as refused:
        fetch(f"{hub.url}/{TOKEN}")
    assert tokens(hub) == [f"Bearer {TOKEN}"]
    assert TOKEN not in "".join(traceback.format_exception(refused.value))


def test_pipelines_and_parameters_are_fetched_in_python_too(
    serve: Callable[..., JsonServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    server = serve(YAML)
    assert Pipeline.from_file(f"{server.url}/pipeline.yaml").name == "fetched"
    server.troubles.append(text(b"task: {x: 1}"))
    assert read_parameters(f"{server.url}/parameters") == {"task": {"x": 1}}
    assert tokens(server) == [None, None]
    with pytest.raises(DistilabelUserError, match="user name or password"):
        Pipeline.from_file("https://me:pw@huggingface.co/pipeline.yaml")


# -- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Answer({}, 404), "there is nothing at .*404"),
        (Answer({}, 401), "may not be read .401.. The Hub's token is sent to the Hub only"),
        (Answer({}, 503), "the server answers 503"),
        (text(b"<!DOCTYPE html><p>Hi", "text/html"), "is a web page.*resolve/main/pipeline.yaml"),
        (text(b"  <html>", "text/plain"), "is a web page"),
        (text(b"a: [1"), "pipeline.yaml.*can.t be read"),
        (text(b"a: 1"), "pipeline.yaml: this is no pipeline file"),
        (text(b"x" * 2000), "has more than 1,000 bytes"),
        (Answer(b"x", headers={"content-length": "9"}), "can't be read|broke off after 1 bytes"),
        (Answer({}, 302, {"location": "/loop"}), "leads on more than 5 times"),
        (Answer({}, 302, {"location": "file:///etc/passwd"}), "is no http.s. address"),
        (Answer({}, 302, {"location": "ftp://host/file"}), "is no http.s. address"),
        (None, "can't be read"),
    ],
)
def test_answers_that_hold_no_pipeline(
    serve: Callable[..., JsonServer],
    monkeypatch: pytest.MonkeyPatch,
    reply: Answer | None,
    said: str,
) -> None:
    monkeypatch.setattr(fetching, "MAX_BYTES", 1000)
    server = serve(YAML)
    server.troubles.extend([reply] * 10)
    with pytest.raises(DistilabelUserError, match=said):
        read_pipeline(f"{server.url}/pipeline.yaml")


def test_a_redirect_from_https_to_http_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_get", lambda *_: "http://host/pipeline.yaml")
    with pytest.raises(DistilabelUserError, match="from https to http"):
        fetch("https://host/pipeline.yaml")


def test_a_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "SILENCE_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(DistilabelUserError, match="didn't answer in time"):
            fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/a")


def test_a_server_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "DEADLINE_SECONDS", 0.2)
    over = threading.Event()

    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while not over.wait(0.01):
                try:
                    connection.sendall(b"#")
                except OSError:  # the client has hung up, as it should
                    return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,))
        thread.start()
        try:
            with pytest.raises(DistilabelUserError, match="didn't answer in time"):
                fetch(f"http://127.0.0.1:{server.getsockname()[1]}/a")
        finally:
            over.set()
            thread.join()


def test_nobody_is_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(DistilabelUserError, match="can't be read"):
        fetch(f"http://127.0.0.1:{port}/a")


# -- the Hub -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("hub_client")
def test_pipelines_of_the_hub(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    repo_id = f"{hub.namespace}/set"
    hub.add_dataset(repo_id, {"pipeline.yaml": YAML, "more/other.json": YAML}, private=True)
    for address in (
        repo_id,
        f"{repo_id}@main",
        f"hf://datasets/{repo_id}",
        f"hf://datasets/{repo_id}@main/more/other.json",
        f"{hub.url}/datasets/{repo_id}/resolve/main/pipeline.yaml",
        f"{hub.url}/datasets/{repo_id}/blob/main/pipeline.yaml",  # the page that shows it
    ):
        assert read_pipeline(address).name == "fetched"
    for address, said in (
        (f"{repo_id}@v2", "is no file here, and as a dataset on the Hub: there is nothing"),
        (f"hf://datasets/{repo_id}/none.yaml", "there is nothing at"),
        (f"{hub.namespace}/none", "on the Hub"),
        ("hf://spaces/a/b", "expected a file of a dataset"),
        (f"hf://datasets/{repo_id}/../x.yaml", "expected hf://datasets"),
        ("nowhere.yaml", "no file 'nowhere.yaml'"),
        ("no/where/at/all.yaml", "no file"),
    ):
        with pytest.raises(DistilabelUserError, match=said):
            read_pipeline(address)
    reader = hub.add_user("nobody", role="read")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(DistilabelUserError, match="or is private: log in"):
        read_pipeline(repo_id)
    with pytest.raises(DistilabelUserError) as refused:
        read_pipeline(repo_id, reader)
    assert reader not in str(refused.value)
    assert read_pipeline(repo_id, hub.token).name == "fetched"


def test_a_local_file_is_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("org").mkdir()
    Path("org/name").write_text("x")
    with pytest.raises(DistilabelUserError, match="this is no pipeline file"):
        read_pipeline("org/name")


def test_names_on_the_hub() -> None:
    assert hub_file("org/name@refs/pr/3", "p.yaml") == ("org/name", "refs/pr/3", "p.yaml")
    found = hub_file("hf://datasets/org/name@feat%2Fone/p.yaml", "")
    assert found == ("org/name", "feat/one", "p.yaml")
    assert found is not None and "/resolve/feat%2Fone/p.yaml" in found.url()
    assert hub_file("name", "p.yaml") is None


# -- scripts -----------------------------------------------------------------------------------


def test_a_script_from_elsewhere_runs_only_where_it_is_trusted(
    serve: Callable[..., JsonServer], capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve(SCRIPT)
    url = f"{server.url}/script.py"
    with pytest.raises(DistilabelUserError, match=f"--script {url} would run.*--trust-remote-code"):
        load_pipeline(None, url, "pipeline")
    with pytest.raises(DistilabelUserError, match="would run Python code"):
        load_pipeline(None, "hf://datasets/org/name/script.py", "pipeline")
    assert server.received == []
    found = load_pipeline(None, url, "pipeline", trust_remote_code=True)
    assert found.name == "remote"
    assert f"Running the code of {url} ({len(SCRIPT)} bytes, sha256" in capsys.readouterr().err


def test_scripts_that_cannot_be_trusted_at_all(
    serve: Callable[..., JsonServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DistilabelUserError, match="use https"):
        load_pipeline(None, "http://host.example/s.py", "pipeline", trust_remote_code=True)
    page = serve(lambda request: text(b"<html>", "text/html"))
    with pytest.raises(DistilabelUserError, match="is a web page"):
        load_pipeline(None, f"{page.url}/s.py", "pipeline", trust_remote_code=True)
    monkeypatch.setattr(definitions, "MAX_BYTES", 10)
    import fsspec

    fsspec.filesystem("memory").pipe("/s.py", SCRIPT)
    with pytest.raises(DistilabelUserError, match="more than 10 bytes"):
        load_pipeline(None, "memory://s.py", "pipeline", trust_remote_code=True)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import nothing_of_this_name", "line 1: ModuleNotFoundError"),
        ("x = 1\nx.y", "line 2: AttributeError"),
        ("def f(:", "line 1: SyntaxError"),
        ("raise SystemExit(4)", "ended by itself .exit code 4."),
    ],
)
def test_scripts_that_fail(tmp_path: Path, code: str, said: str) -> None:
    script = tmp_path / "broken.py"
    script.write_text(code)
    with pytest.raises(DistilabelUserError, match=said):
        load_pipeline(None, str(script), "pipeline")
