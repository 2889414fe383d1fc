"""The files of a form: streamed, each by its own name, all or nothing, whatever the names and the form say."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lan_session_manager.errors import InvalidInputError, LSMError, QuotaError, SecurityError, TooLargeError
from lan_session_manager.web.forms import MOST_BESIDE, MOST_FILES, Form
from lan_session_manager.workspace import Quota, Workspace, Workspaces
from lan_session_manager.workspace.paths import Parts
from lan_session_manager.workspace.upload import Upload

MB = 1024 * 1024
TYPE = "multipart/form-data; boundary=sep"
END = b"--sep--\r\n"
PIECES = (
    *(b"--sep", b"\r\n", b"--", b":", b"\0", b"data"),
    *(b"Content-Disposition:", b" form-data;", b'filename="../x"', b"filename=a"),
)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    workspaces = Workspaces(tmp_path / "user_sessions")
    workspaces.prepare()
    made = workspaces.workspace("192_168_1_100", 1_001_000)
    made.create()
    yield made
    assert not made.staging.exists() or list(made.staging.iterdir()) == []


def file(name: str | bytes, data: bytes = b"data", field: str = "file") -> bytes:
    raw = name.encode() if isinstance(name, str) else name
    head = b'--sep\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n' % (field.encode(), raw)
    return head + b"Content-Type: text/html\r\n\r\n" + data + b"\r\n"


def sent(
    workspace: Workspace,
    body: bytes,
    *,
    directory: str = "inputs",
    kind: str = TYPE,
    step: int = 1 << 20,
    quota: int = 10 * MB,
    limit: int = 5 * MB,
) -> list[str]:
    """The paths of the files that are there after it."""

    def begin(path: Parts) -> Upload:
        return Upload(workspace, path, limit_bytes=limit, quota=Quota(quota, 1000), reserve_bytes=0)

    form = Form(kind, directory, begin)
    try:
        for at in range(0, len(body), step):
            form.write(body[at : at + step])
        return ["/".join(path) for path, _ in form.commit()]
    finally:
        form.abort()


def there(workspace: Workspace) -> dict[str, bytes]:
    disk = workspace.data_dir / workspace.name
    return {str(path.relative_to(disk)): path.read_bytes() for path in disk.rglob("*") if path.is_file()}


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_the_files_of_a_form_are_there_as_they_were_sent(workspace: Workspace, step: int) -> None:
    data = b"\r\n--se\r\n--sep" + bytes(range(256)) + b"\r\n--"
    body = file("a.txt", b"one") + b'--sep\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n'
    body += file("b.bin", data, "other") + file("folder/deep/c", b"") + END
    assert sent(workspace, body, step=step) == ["inputs/a.txt", "inputs/b.bin", "inputs/folder/deep/c"]
    assert there(workspace) == {"inputs/a.txt": b"one", "inputs/b.bin": data, "inputs/folder/deep/c": b""}


@pytest.mark.parametrize("cut", [10, 80, 150, 240, -1, -len(END)])
def test_of_a_form_that_breaks_off_nothing_is_there(workspace: Workspace, cut: int) -> None:
    body = file("a.txt", b"one" * 20) + file("b.txt", b"two" * 20) + END
    with pytest.raises(InvalidInputError):
        # The last line break is nobody's: all has come before it.
        sent(workspace, body[: cut - 3 if cut == -1 else cut])
    assert there(workspace) == {}


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("../a", SecurityError),
        ("..", SecurityError),
        ("a/../../b", SecurityError),
        ("/etc/passwd", InvalidInputError),
        ("a//b", InvalidInputError),
        ("./a", InvalidInputError),
        ("a\x00b", InvalidInputError),
        ("a\x1b[31mb", InvalidInputError),
        ("a\u2028b", InvalidInputError),
        (b"\xff\xfe", InvalidInputError),
        ("x" * 256, InvalidInputError),
        ("d/" * 70 + "a", InvalidInputError),
    ],
)
def test_a_name_that_no_file_may_have_refuses_the_form(
    workspace: Workspace, name: str | bytes, error: type[LSMError]
) -> None:
    with pytest.raises(error):
        sent(workspace, file("good.txt") + file(name) + END)
    assert there(workspace) == {}


@pytest.mark.parametrize(
    "name",
    ["<img src=x onerror=alert(1)>.txt", "a'b;c.txt", "\u202egnp.exe", "ü 中文.csv", "%2e%2e%2fa", "..a", "x" * 255],
)
def test_hostile_names_are_only_names(workspace: Workspace, name: str) -> None:
    assert sent(workspace, file(name) + END) == [f"inputs/{name}"]
    assert there(workspace) == {f"inputs/{name}": b"data"}


def test_the_directory_is_a_path_like_any_other(workspace: Workspace) -> None:
    assert sent(workspace, file("a") + END, directory="temp/new") == ["temp/new/a"]
    assert sent(workspace, file("b") + END, directory="") == ["b"]
    with pytest.raises(SecurityError):
        sent(workspace, file("a") + END, directory="../192_168_1_101")


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=" + "x" * 500]
)
def test_a_form_needs_a_boundary(workspace: Workspace, kind: str) -> None:
    with pytest.raises(InvalidInputError):
        sent(workspace, file("a") + END, kind=kind)


@pytest.mark.parametrize(
    "body",
    [
        b"", END, b"nonsense", file("") + END, b"--sep\r\nContent-Disposition: form-data; name=x\r\n\r\n5\r\n" + END,
        b"--sep\r\nContent-Disposition: attachment; filename=x\r\n\r\n5\r\n" + END, b"--sep\r\n\r\n5\r\n" + END,
    ],
)  # fmt: skip
def test_a_form_without_a_file_is_refused(workspace: Workspace, body: bytes) -> None:
    with pytest.raises(InvalidInputError):
        sent(workspace, body)
    assert there(workspace) == {}


def test_each_file_has_a_largest_size_and_all_have_the_quota(workspace: Workspace) -> None:
    with pytest.raises(TooLargeError):
        sent(workspace, file("a", b"x" * (5 * MB + 1)) + END)
    with pytest.raises(QuotaError):
        sent(workspace, file("a", b"x" * 4 * MB) + file("b", b"x" * 4 * MB) + END, quota=7 * MB)
    assert there(workspace) == {}


def test_a_form_has_only_so_many_files_and_so_much_beside_them(workspace: Workspace) -> None:
    with pytest.raises(TooLargeError):
        sent(workspace, b"".join(file(str(number)) for number in range(MOST_FILES + 1)) + END)
    field = b"--sep\r\nContent-Disposition: form-data; name=x\r\n\r\n" + b"5" * MOST_BESIDE + b"\r\n"
    for body in (field + file("a") + END, file("a") + END + b"x" * (MOST_BESIDE + 1)):
        with pytest.raises(TooLargeError):
            sent(workspace, body, step=65536)
    assert there(workspace) == {}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.lists(st.sampled_from(PIECES)).map(b"".join), step=st.integers(1, 50))
def test_whatever_comes_is_a_form_or_is_refused(workspace: Workspace, body: bytes, step: int) -> None:
    try:
        paths = sent(workspace, body, step=step)
    except LSMError:
        return
    assert all(path.startswith("inputs/") and ".." not in path for path in paths)
