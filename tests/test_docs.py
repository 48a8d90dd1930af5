"""The documentation leads somewhere: its links, what code cites of it, and what it names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml
from django.core.management import get_commands

ROOT = Path(__file__).parent.parent
CODE = ("aforo", "billing", "ledger", "pricing", "wallets", "tests", "templates", "docs")
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])

CITATION = re.compile(r"docs/(\w+\.md)(#[\w-]+(?:(?:,| and| to)\s+#[\w-]+)*)")
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
NAMED = re.compile(r"\[`([\w.]+)`\]\(([^)\s]+\.py)\)")
PATH = re.compile(
    rf"(?<![\w/.])((?:{'|'.join(CODE)})/(?:[\w.]+/)*(?:\w+\.(?:py|md|sql|yaml))?)(?=[`\s,;])"
)
ELSEWHERE = re.compile(r"\b(?:DECISIONS|FINANCE|DESIGN|STYLE|RELIABILITY|LIBRARIES) \d")
COMMAND = re.compile(r"manage\.py ([a-z_]+)")
REQUEST = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE) (/v1/[\w/{}.-]*)")


def cited(text: str) -> Iterator[tuple[str, str]]:
    """Find the page and anchor of each citation, also of several at once (`#e14 and #e17`)."""
    for found in CITATION.finditer(text):
        for anchor in re.findall(r"#([\w-]+)", found[2]):
            yield found[1], anchor


def sources() -> list[Path]:
    """List every file of the repository that may cite a page."""
    kinds = {".py", ".html", ".sql", ".md", ".css", ".js"}
    files = [path for room in CODE for path in (ROOT / room).rglob("*") if path.suffix in kinds]
    return [*files, ROOT / "README.md", ROOT / "pyproject.toml", ROOT / ".ci" / "run"]


@cache
def anchors_of(page: Path) -> frozenset[str]:
    """Return what may follow the # of a link to a page: its anchors, and its headings' names."""
    text = page.read_text()
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return frozenset(slugs | set(re.findall(r'<a id="([\w-]+)">', text)))


@cache
def defined_in(file: Path) -> frozenset[str]:
    """Return the functions, classes and constants of a module, and the methods of its classes."""
    names: set[str] = set()
    for node in ast.parse(file.read_text()).body:
        match node:
            case ast.FunctionDef(name=name):
                names.add(name)
            case ast.ClassDef(name=name, body=body):
                names.add(name)
                names |= {f"{name}.{one.name}" for one in body if isinstance(one, ast.FunctionDef)}
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return frozenset(names)


def test_every_citation_leads_somewhere() -> None:
    lost = [
        f"{source.relative_to(ROOT)}: docs/{page}#{anchor}"
        for source in sources()
        if source.exists()
        for page, anchor in cited(source.read_text())
        if not (ROOT / "docs" / page).exists() or anchor not in anchors_of(ROOT / "docs" / page)
    ]
    assert lost == []


def test_nothing_cites_a_page_that_is_not_here() -> None:
    this = Path(__file__)
    found = [
        f"{source.relative_to(ROOT)}: {cite}"
        for source in sources()
        if source.exists() and source != this
        for cite in ELSEWHERE.findall(source.read_text())
    ]
    assert found == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    lost = []
    for target in LINK.findall(page.read_text()):
        if target.startswith(("http:", "https:")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors_of(file)):
            lost.append(target)
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_link_names_is_in_its_file(page: Path) -> None:
    lost = [
        f"{name} in {target}"
        for name, target in NAMED.findall(page.read_text())
        if name not in defined_in((page.parent / target).resolve())
    ]
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_that_is_named_exists(page: Path) -> None:
    assert [path for path in PATH.findall(page.read_text()) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_shown_exists(page: Path) -> None:
    assert set(COMMAND.findall(page.read_text())) - set(get_commands()) == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_request_that_is_shown_is_in_the_api(page: Path) -> None:
    document = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())
    patterns = [
        (method.upper(), re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) + "/?"))
        for path, methods in document["paths"].items()
        for method in methods
    ]
    unknown = [
        f"{method} {path}"
        for method, path in REQUEST.findall(page.read_text())
        if not any(m == method and p.fullmatch(path.rstrip("/.")) for m, p in patterns)
    ]
    assert unknown == []


def test_the_walks_of_the_architecture_are_whole() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    walks = re.findall(r"^### (.+)\n((?:.*\n)*?)(?=^##|\Z)", text, flags=re.MULTILINE)
    hops = {
        title: [line for line in body.splitlines() if re.match(r"\d+\. ", line)]
        for title, body in walks
        if re.search(r"^\d+\. ", body, flags=re.MULTILINE)
    }
    assert list(hops) == [
        "One debit",
        "One debit of usage in real time",
        "One check",
        "One metered event",
        "One campaign grant",
        "One refund",
    ]
    assert [hop for found in hops.values() for hop in found if not NAMED.search(hop)] == []


def test_every_room_is_described() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    everywhere = {"admin", "api", "management", "migrations", "models"}
    rooms = [
        file.parent.relative_to(ROOT)
        for app in ("aforo", "billing", "ledger", "pricing", "wallets")
        for file in (ROOT / app).glob("*/__init__.py")
        if file.parent.name not in everywhere
    ]
    assert [str(room) for room in rooms if f"| [{room}](" not in text] == []


def test_every_word_of_the_glossary_stands_there_once() -> None:
    words = re.findall(r"^\| ([^|]+) \|", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
    words = [word for word in words if word != "word"]
    assert [word for word in words if words.count(word) > 1] == []
    assert len(words) > 100
