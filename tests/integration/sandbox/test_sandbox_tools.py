"""What people use works inside of the box: languages with their threads, compilers, version control."""

import shutil

import pytest

from tests.integration.sandbox.room import MB, Room

pytestmark = pytest.mark.root


def _needs(program: str) -> pytest.MarkDecorator:
    found = shutil.which(program, path="/usr/local/bin:/usr/bin")
    return pytest.mark.skipif(found is None, reason=f"{program} is not below /usr on this machine")


def test_python_runs_threads_processes_and_its_libraries(room: Room) -> None:
    program = """
import concurrent.futures, hashlib, multiprocessing, sqlite3, ssl, subprocess, tempfile, threading

with concurrent.futures.ThreadPoolExecutor(8) as pool:
    print(sum(pool.map(lambda n: n, range(100))))
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(sum(pool.map(abs, [-1, -2])))
    print(len(ssl.create_default_context().get_ca_certs()) > 50)
    print(sqlite3.connect("data.db").execute("select 1").fetchone())
    print(subprocess.run(["echo", "child"], capture_output=True, text=True).stdout.strip())
    with tempfile.TemporaryFile() as file:
        file.write(b"x")
"""
    ran = room.python(program)
    assert (ran.out.split("\n"), ran.err) == (["4950", "3", "True", "(1,)", "child", ""], "")


def test_asyncio_runs_subprocesses_and_loopback_servers(room: Room) -> None:
    program = """
import asyncio

async def main():
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    print(await reader.read())
    process = await asyncio.create_subprocess_exec("echo", "child", stdout=asyncio.subprocess.PIPE)
    print((await process.communicate())[0])

asyncio.run(main())
"""
    ran = room.python(program)
    assert (ran.out, ran.err) == ("b''\nb'child\\n'\n", "")


def test_a_virtual_environment_can_be_made_and_used(room: Room) -> None:
    ran = room.sh("python3 -m venv --without-pip v && . v/bin/activate && python -c 'import sys; print(sys.prefix)'")
    assert (ran.out, ran.code) == ("/workspace/v\n", 0)


@_needs("node")
def test_node_runs_worker_threads(room: Room) -> None:
    program = """
const { Worker } = require("worker_threads");
const code = "const { parentPort, workerData } = require('worker_threads'); parentPort.postMessage(workerData)";
for (const number of [1, 2]) {
    new Worker(code, { eval: true, workerData: number }).on("message", (got) => console.log("worker", got));
}
"""
    ran = room.run("node", "-e", program, limits={"memory_bytes": 512 * MB})
    assert sorted(ran.out.splitlines()) == ["worker 1", "worker 2"], ran.err


@_needs("git")
def test_git_makes_a_repository(room: Room) -> None:
    ran = room.sh(
        "git init -q r && cd r && echo x > f && git add f && "
        "git -c user.name=u -c user.email=u@e commit -qm one && git log --format=%s && git clone -q . ../c && ls ../c"
    )
    assert (ran.out, ran.code) == ("one\nf\n", 0), ran.err


@_needs("gcc")
def test_a_compiled_program_runs_in_the_workspace_and_in_tmp(room: Room) -> None:
    ran = room.sh(
        "echo '#include <stdio.h>\nint main(void) { puts(\"built\"); return 0; }' > a.c && "
        "gcc a.c -o a && ./a && cp a /tmp && /tmp/a"
    )
    assert (ran.out, ran.code) == ("built\nbuilt\n", 0), ran.err


def test_two_programs_of_one_box_speak_over_a_socket_in_the_workspace(room: Room) -> None:
    program = """
import os, socket
with socket.socket(socket.AF_UNIX) as server:
    server.bind("s")
    server.listen()
    if os.fork() == 0:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect("s")
            client.sendall(b"hello")
        os._exit(0)
    print(server.accept()[0].recv(10))
"""
    assert room.python(program).out == "b'hello'\n"
