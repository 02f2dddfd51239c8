"""What processes are called: scripts, wrappers, titles, and labels that stay labels."""

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heapwarden.domain.identity import Role
from heapwarden.domain.naming import MAX_LABEL_CHARACTERS, as_label, is_node_name, role_of, script_name
from heapwarden.domain.node_options import EVAL_OPTIONS, VALUE_OPTIONS

NODES = Path(__file__).parents[1] / "nodes" / "node_modules"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        pytest.param("node /app/server.js", "server", id="script"),
        pytest.param("/usr/local/bin/node dist/main.mjs --port 80", "main", id="arguments of the script"),
        pytest.param("node worker.cjs", "worker", id="cjs"),
        pytest.param("node src/api.ts", "api", id="typescript"),
        pytest.param("node view.tsx", "view", id="tsx"),
        pytest.param("node my.app.js", "my.app", id="only the last ending"),
        pytest.param("node server.v2", "server.v2", id="an ending that is none"),
        pytest.param("node .js", ".js", id="nothing but an ending"),
        pytest.param("nodejs18 server", "server", id="no ending, node by another name"),
        pytest.param("node /app/node_modules/.bin/next start", "next", id="link in .bin"),
        pytest.param("node /app/node_modules/next/dist/bin/next start", "next", id="next itself"),
        pytest.param("node --require x.js server.js", "server", id="--require x"),
        pytest.param("node -r x.js -r y.js server.js", "server", id="-r twice"),
        pytest.param("node --require=x.js server.js", "server", id="--require=x"),
        pytest.param("node --import ./i.mjs --loader ./l.mjs server.js", "server", id="--import and --loader"),
        pytest.param("node --env-file .env -C dev --title t server.js", "server", id="--env-file, -C, --title"),
        pytest.param("node --env_file .env server.js", "server", id="underscores, as Node allows"),
        pytest.param("node --max-old-space-size=64 --stack-trace-limit=5 server.js", "server", id="V8 options"),
        pytest.param("node --inspect server.js", "server", id="--inspect takes no argument"),
        pytest.param("node --inspect=0.0.0.0:9229 --no-warnings server.js", "server", id="--inspect=host"),
        pytest.param("node --unheard-of server.js", "server", id="unknown option"),
        pytest.param("node -i server.js", "server", id="interactive with a script"),
        pytest.param("node -- --odd.js", "--odd", id="after --"),
        pytest.param("node --", "[stdin]", id="-- and nothing"),
        pytest.param("node -e while(1){} x.js", "[eval]", id="-e"),
        pytest.param("node --max-old-space-size=64 --eval=1", "[eval]", id="--eval="),
        pytest.param("node -p 1", "[eval]", id="-p"),
        pytest.param("node --import x.mjs -pe 1", "[eval]", id="-pe"),
        pytest.param("node --test", "[test]", id="--test"),
        pytest.param("node --test a.test.js", "[test]", id="--test with a file"),
        pytest.param("node --test --test-name-pattern x", "[test]", id="--test with options"),
        pytest.param("node --run build:app", "build:app", id="--run"),
        pytest.param("node --run=build", "build", id="--run="),
        pytest.param("node --run", "node", id="--run and nothing"),
        pytest.param("node - x", "[stdin]", id="-"),
        pytest.param("node", "[stdin]", id="nothing"),
        pytest.param("node -i", "[repl]", id="-i"),
        pytest.param("node -r x.js", "[stdin]", id="only options"),
        pytest.param("node .", "shop", id="."),
        pytest.param("node ./", "shop", id="./"),
        pytest.param("node ..", "srv", id=".."),
        pytest.param("node packages/..", "shop", id="path that ends in .."),
        pytest.param("node packages/api/", "api", id="folder"),
        pytest.param("foo server.js", "foo", id="exec -a foo"),
        pytest.param("/opt/shop/backend --port 80", "backend", id="single executable"),
    ],
)
def test_script_name(command: str, expected: str) -> None:
    """The script is found behind any of Node's options, and what runs no script is called by what it does."""
    assert script_name(command.split(" "), "/srv/shop") == expected


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        pytest.param("node /app/server.js", "server", id="PM2's"),
        pytest.param("my-api", "my-api", id="one word"),
        pytest.param("next-server (v14.2.3)", "next-server", id="version behind the name"),
        pytest.param("worker: idle", "worker", id="state behind the name"),
        pytest.param("node: api", "node", id="node with a colon"),
        pytest.param("PM2 v7.0.4: God Daemon (/home/node/.pm2)", "PM2", id="PM2's daemon"),
        pytest.param("::", "node", id="punctuation only"),
        pytest.param("/app/x y", "x", id="path"),
        pytest.param("  ", "node", id="blanks only"),
    ],
)
def test_title(title: str, expected: str) -> None:
    """A process that set process.title before it was seen goes by its first word: what follows it often changes."""
    assert script_name([title], "/srv/shop") == expected


def test_no_command_line() -> None:
    """A command line that is empty or could not be read still gives a name."""
    assert script_name([], None) == "node"
    assert script_name([""], None) == "node"


def test_terminal() -> None:
    """Node without a script on a terminal is a REPL; without one it reads a program from its input."""
    assert script_name(["node"], None, terminal=True) == "[repl]"
    assert script_name(["node"], None, terminal=False) == "[stdin]"


def test_unknown_folder() -> None:
    """`node .` where the working folder may not be read is called node."""
    assert script_name(["node", "."], None) == "node"
    assert script_name(["node", "."], "/") == "node"


@pytest.mark.parametrize(
    "argv",
    [
        pytest.param(["node", "/usr/bin/npm", "start"], id="npm"),
        pytest.param(["node", "/usr/lib/node_modules/npm/bin/npm-cli.js", "ci"], id="npm-cli.js"),
        pytest.param(["npm start"], id="npm's title"),
        pytest.param(["npm run dev"], id="npm run's title"),
        pytest.param(["npm exec next dev"], id="npx's title"),
        pytest.param(["npm"], id="npm's bare title"),
        pytest.param(["node", "/usr/bin/npx", "next"], id="npx"),
        pytest.param(["node", "npm/bin/npx-cli.js", "next"], id="npx-cli.js"),
        pytest.param(["/usr/bin/node", "--no-warnings", "/usr/local/bin/yarn", "start"], id="yarn behind options"),
        pytest.param(["node", "/opt/yarn-v1.22.22/bin/yarn.js", "start"], id="yarn of the official image"),
        pytest.param(["node", "/usr/share/yarn/bin/yarn.js"], id="yarn classic"),
        pytest.param(["node", "/app/.yarn/releases/yarn-4.1.0.cjs", "start"], id="berry, checked in"),
        pytest.param(["node", "/app/.yarn/releases/yarn-1.22.19.js", "start"], id="classic, checked in"),
        pytest.param(["node", "/home/node/.cache/node/corepack/v1/yarn/4.1.0/yarn.js"], id="berry from corepack"),
        pytest.param(
            ["node", "/home/node/.cache/node/corepack/v1/yarn/1.22.22/bin/yarn.js"], id="classic from corepack"
        ),
        pytest.param(["node", "/x/node_modules/@yarnpkg/cli-dist/bin/yarn.js"], id="berry from the registry"),
        pytest.param(["node", "/app/node_modules/.bin/pnpm", "dev"], id="pnpm"),
        pytest.param(["node", "/usr/lib/node_modules/pnpm/bin/pnpm.cjs", "dev"], id="pnpm.cjs"),
        pytest.param(["node", "/x/corepack/v1/pnpm/9.1.0/bin/pnpm.cjs", "dev"], id="pnpm from corepack"),
        pytest.param(["node", "/usr/lib/node_modules/pnpm/dist/pnpx.mjs", "x"], id="pnpx"),
        pytest.param(["node", "/usr/bin/corepack", "yarn", "start"], id="corepack"),
        pytest.param(["node", "/usr/lib/node_modules/corepack/dist/yarn.js", "start"], id="corepack's shim"),
        pytest.param(["node", "--run", "start"], id="node --run"),
    ],
)
def test_wrapper(argv: list[str]) -> None:
    """A package manager in front of the app is told from the app, also after npm has renamed itself."""
    assert role_of(argv) is Role.WRAPPER


@pytest.mark.parametrize(
    "argv",
    [
        pytest.param(["node", "/app/npm.js"], id="an app's npm.js"),
        pytest.param(["node", "yarn.js"], id="an app's yarn.js"),
        pytest.param(["node", "/app/yarn.js"], id="an app's yarn.js by path"),
        pytest.param(["node", "/app/npm/server.js"], id="a folder called npm"),
        pytest.param(["node", "server.js", "/usr/bin/npm"], id="npm as an argument"),
        pytest.param(["node", "-r", "/usr/bin/npm", "server.js"], id="npm as an option's value"),
        pytest.param(["node", "-e", "1", "/usr/bin/npm"], id="npm behind code"),
        pytest.param(["node", "/app/bin/npm-check"], id="a name that begins with npm"),
        pytest.param(["node /app/server.js"], id="PM2's title"),
        pytest.param(["npmish start"], id="a title that begins with npm"),
        pytest.param(["node"], id="nothing"),
        pytest.param([], id="no command line"),
    ],
)
def test_app(argv: list[str]) -> None:
    """What only looks like a package manager is judged."""
    assert role_of(argv) is Role.APP


@pytest.mark.parametrize("name", ["node", "nodejs", "node18", "node-20.1.0", "nodejs_22", "node-v18"])
def test_node_names(name: str) -> None:
    """Node under the names that distributions and version managers give it."""
    assert is_node_name(name)


@pytest.mark.parametrize("name", ["bun", "deno", "electron", "nodemon", "node_exporter", "node-red", "", "Node", "n"])
def test_other_names(name: str) -> None:
    """Neighbours and namesakes are not Node."""
    assert not is_node_name(name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a/b\\c", "a_b_c", id="slashes"),
        pytest.param("a\nb\x00c\x7f", "a_b_c_", id="control characters"),
        pytest.param("a\u200bb\ud800", "a_b_", id="invisible and lone surrogate"),
        pytest.param(" größe 1 ", "größe 1", id="letters of any language"),
        pytest.param("x" * 300, "x" * MAX_LABEL_CHARACTERS, id="long"),
        pytest.param("..", "node", id="parent folder"),
        pytest.param("", "node", id="empty"),
    ],
)
def test_label(text: str, expected: str) -> None:
    """What a stranger calls his script can't break a label, a log line or a URL."""
    assert as_label(text) == expected


@given(st.lists(st.text(max_size=50), max_size=8), st.none() | st.text(max_size=50), st.booleans())
def test_any_command_line_gives_a_label(argv: list[str], cwd: str | None, terminal: bool) -> None:
    """Whatever a command line holds, its name is a bounded, printable, single segment and its role is one."""
    name = script_name(argv, cwd, terminal=terminal)
    assert 0 < len(name) <= MAX_LABEL_CHARACTERS
    assert name.isprintable()
    assert "/" not in name
    assert name not in (".", "..")
    assert name == as_label(name)
    assert role_of(argv) in Role


@given(st.lists(st.sampled_from(["--inspect", "--no-warnings", "--trace-gc", "--require=x", "-r y", "--title t"])))
def test_options_never_hide_the_script(options: list[str]) -> None:
    """Any number of options in front leaves the name as it is."""
    assert script_name(["node", *" ".join(options).split(), "/app/server.js", "--", "-e"], None) == "server"


_LIST_OPTIONS = """
const {options, aliases} = (b => (b.getCLIOptionsInfo || b.getCLIOptions)())(
    require('internal/test/binding').internalBinding('options'));
const valued = new Set();
const {types} = require('internal/test/binding').internalBinding('options');
for (const [name, {type}] of options)
    if (![types.kNoOp, types.kV8Option, types.kBoolean].includes(type) && name.startsWith('-')) valued.add(name);
for (const [alias, expansion] of aliases)
    if (!/[= ]/.test(alias) && expansion.length === 1 && valued.has(expansion[0])) valued.add(alias);
console.log(JSON.stringify([...valued]));
"""


@pytest.mark.node
@pytest.mark.parametrize("major", [18, 20, 22, 24, 26])
def test_table_of_options_is_nodes_own(major: int) -> None:
    """Each option that takes a value on this major stands in the table, so that no value is taken for the script."""
    node = NODES / f"n{major}" / "bin" / "node"
    if not node.exists():
        pytest.skip(f"Node {major} is not installed in tests/nodes")
    done = subprocess.run([node, "--expose-internals", "-e", _LIST_OPTIONS], capture_output=True, check=True)
    valued = set(json.loads(done.stdout))
    assert "--require" in valued
    exceptions = {"--experimental-config-file", "--experimental-default-config-file"}
    assert valued - exceptions - EVAL_OPTIONS <= VALUE_OPTIONS
