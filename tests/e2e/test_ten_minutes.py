"""The ten minutes of the documentation, run as they stand there, and the tools that read the
OpenAPI document: its linter, and the clients that are made of it.

They are installed as tests/e2e/document_tools.txt pins them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aforo.access.services import create_api_key
from billing.models import Invoice
from tests.factories.books import ensure_chart
from wallets.models import Debit

pytestmark = [pytest.mark.clients, pytest.mark.django_db(transaction=True)]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ten-minutes.md").read_text()
DOCUMENT = ROOT / "docs" / "openapi.yaml"
PINS = Path(__file__).with_name("document_tools.txt").read_text()
TSCONFIG = """{"files": ["tour.ts"], "compilerOptions": {
    "strict": true, "noUncheckedIndexedAccess": true, "skipLibCheck": true,
    "module": "nodenext", "target": "es2022", "types": ["node"]}}"""
# The tour's debit, by the client that is made of the document.
MADE = """
import os
from made import AuthenticatedClient
from made.api.customers import create_customer
from made.api.wallets import debit_wallet, top_up_wallet
from made.models import CustomerBodyRequest, DebitAnswer, DebitBodyRequest, TopUpBodyRequest

client = AuthenticatedClient(base_url=os.environ["AFORO_URL"], token=os.environ["AFORO_KEY"])
create_customer.sync(client=client, body=CustomerBodyRequest(id="acme", name="Acme"))
top_up = TopUpBodyRequest(customer_id="acme", amount="20", currency="USD", idempotency_key="t1")
top_up_wallet.sync(client=client, body=top_up)
debit = DebitBodyRequest(customer_id="acme", amount="2", idempotency_key="d1")
answer = debit_wallet.sync(client=client, body=debit)
assert isinstance(answer, DebitAnswer), answer
print("left:", answer.balance.available)
"""


def pins(of: str) -> list[tuple[str, str]]:
    return re.findall(rf"^{of} (\S+) (\S+)$", PINS, flags=re.MULTILINE)


def snippets(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def run(*command: str | Path, cwd: Path, **more: str) -> str:
    """Run a program that has to succeed; return what it printed."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | more,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    return done.stdout


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which the tools of npm are installed."""
    home = tmp_path_factory.mktemp("node")
    (home / "package.json").write_text('{"type": "module"}')
    wanted = [f"{name}@{version}" for name, version in pins("npm")]
    run("npm", "install", "--silent", "--no-audit", "--no-fund", *wanted, cwd=home)
    return home


@pytest.fixture
def reach(served_url: str) -> dict[str, str]:
    """The address of the served project and a key of its sandbox, as the page sets them."""
    ensure_chart()
    scopes = ["catalog", "billing", "wallets", "usage", "ledger"]
    _, secret = create_api_key(livemode=False, name="tour", scopes=scopes)
    return {"AFORO_URL": str(served_url), "AFORO_KEY": secret}


def check_what_was_done() -> None:
    """20 bought, 3 captured, 2 debited once, 1,000 calls at 0.02: 15 by credits, 5 are due."""
    assert sorted(debit.quantity for debit in Debit.objects.all()) == [2, 3]
    (paid,) = Invoice.objects.values_list("total", "from_wallet")
    assert paid == (20, 15)


def test_curl(reach: dict[str, str], tmp_path: Path) -> None:
    (script,) = snippets("bash")

    run("bash", "-c", script, cwd=tmp_path, **reach)

    check_what_was_done()


def test_python(reach: dict[str, str], tmp_path: Path) -> None:
    printed = [
        run(sys.executable, "-c", each, cwd=tmp_path, **reach) for each in snippets("python")
    ]

    assert printed == ["left: 15\n", "", "due: 5\n"]
    check_what_was_done()


def test_typescript_by_the_types_of_the_document(
    reach: dict[str, str], node: Path, tmp_path: Path
) -> None:
    (tour,) = snippets("ts")
    tools = node / "node_modules" / ".bin"
    (node / "tour.ts").write_text(tour)
    (node / "tsconfig.json").write_text(TSCONFIG)
    no_defaults = "--default-non-nullable=false"
    run(tools / "openapi-typescript", DOCUMENT, no_defaults, "-o", "aforo.ts", cwd=node)
    run(tools / "tsc", "-p", ".", cwd=node)

    assert run("node", "tour.js", cwd=node, **reach) == "left: 15\ndue: 5\n"
    check_what_was_done()


def test_the_document_passes_its_linter(node: Path) -> None:
    config = ROOT / ".ci" / "redocly.yaml"
    tool = node / "node_modules" / ".bin" / "redocly"

    run(tool, "lint", DOCUMENT, "--config", config, "--max-problems", "1", cwd=node)
    answer = run(tool, "lint", DOCUMENT, "--config", config, "--format", "json", cwd=node)

    assert re.search(r'"warnings": 0', answer), answer


def test_a_python_client_is_made_of_the_document(reach: dict[str, str], tmp_path: Path) -> None:
    uv = shutil.which("uv")
    assert uv is not None, "the project is run by uv"
    python = tmp_path / "env" / "bin" / "python"
    run(uv, "venv", "-q", "env", "--python", sys.executable, cwd=tmp_path)
    wanted = [f"{name}=={version}" for name, version in pins("pypi")]
    run(uv, "pip", "install", "-q", "--python", python, *wanted, cwd=tmp_path)
    tool = python.with_name("openapi-python-client")
    path = f"{python.parent}:{os.environ['PATH']}"
    where: list[str | Path] = ["--path", DOCUMENT, "--meta", "none", "--output-path", "made"]
    # What it has no name for it takes as bytes.
    (tmp_path / "made.yaml").write_text(
        "content_type_overrides:\n  application/pdf: application/octet-stream\n"
    )
    how = ["--config", "made.yaml", "--fail-on-warning"]
    run(tool, "generate", *where, *how, cwd=tmp_path, PATH=path)
    (tmp_path / "tour.py").write_text(MADE)
    run(python, "-m", "mypy", "--follow-imports=silent", "tour.py", cwd=tmp_path)

    assert run(python, "tour.py", cwd=tmp_path, **reach) == "left: 18\n"
