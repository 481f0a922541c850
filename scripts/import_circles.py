"""Count the circles among the Rust files of src/: files that import each other, directly or through others.

    python3 scripts/import_circles.py [FOLDER ...]

An import is a `use`, or a path in the code, of an item of another file, followed through re-exports to the file that
defines it. What a mod.rs or lib.rs only hands on, and tests, do not count. Prints each circle with its imports, then
their number; fails if there is one.
"""

import re
import sys
from pathlib import Path

SRC = Path(__file__).resolve().parent.parent / "src"


def code_of(path):
    """The file's text without comments, strings and test modules."""
    text = re.sub(r"//[^\n]*", "", path.read_text())
    text = re.sub(r'"(?:[^"\\]|\\.)*"', '""', text)
    while found := re.search(r"#\[cfg\(test\)\]\s*mod \w+ *\{", text):
        end, depth = found.end(), 1
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        text = text[: found.start()] + text[end:]
    return text


def expand(tree):
    """The paths of a `use` tree: `a::{b, c as d}` -> `a::b`, `a::c`, each with its name."""
    tree = tree.strip()
    if not tree.endswith("}"):
        path, _, name = tree.partition(" as ")
        return [(path.strip().split("::"), name.strip() or path.strip().split("::")[-1])]
    prefix, inner = tree.split("{", 1)
    parts, depth = [""], 0
    for letter in inner[:-1]:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    prefix = [part for part in prefix.strip().split("::") if part]
    return [(prefix + path, name) for part in parts if part.strip() for path, name in expand(part)]


class Module:
    def __init__(self, file):
        names = list(file.relative_to(SRC).with_suffix("").parts)
        self.file, self.is_face = file, names[-1] in ("mod", "lib")
        self.name = tuple(names[:-1] if self.is_face else names)
        code = code_of(file)
        self.uses, self.handed_on = [], []
        for public, tree in re.findall(r"(pub(?:\([^)]*\))? )?\buse ([^;]+);", code):
            for path, name in expand(" ".join(tree.split())):
                # `use a::b::{self}` names the module.
                path = path[:-1] if path[-1] == "self" else path
                (self.handed_on if public else self.uses).append((path, path[-1] if name == "self" else name))
        body = re.sub(r"\buse [^;]+;|\bpub\([^)]*\)", "", code)
        inline = re.findall(r"(?<![\w:])((?:crate|super|self|[a-z]\w*)(?:::\w+)+)", body)
        self.uses += [(path.split("::"), path.split("::")[-1]) for path in inline]


MODULES = {module.name: module for module in map(Module, SRC.rglob("*.rs")) if module.file.name != "tests.rs"}


def absolute(module, path):
    """The path from the crate's root, or None if it leads out of the crate."""
    first, here = path[0], module.name
    if first == "crate":
        return path[1:]
    if first == "self":
        return list(here) + path[1:]
    if first == "super":
        parent, rest = MODULES[here[:-1]], path[1:]
        return absolute(parent, rest if rest[:1] == ["super"] else ["self"] + rest)
    return list(here) + path if here + (first,) in MODULES else None


def definition(path, seen=()):
    """The module that defines what an absolute path names."""
    at = ()
    for place, name in enumerate(path):
        if at + (name,) in MODULES:
            at += (name,)
            continue
        module = MODULES[at]
        for source, handed in module.handed_on:
            further = absolute(module, source)
            if handed in (name, "*") and further and (at, name) not in seen:
                further = further[:-1] + [name] if handed == "*" else further
                found = definition(further + path[place + 1 :], (*seen, (at, name)))
                if handed == name or found.name != tuple(further[:-1]):
                    return found
        break
    return MODULES[at]


def imports(module):
    found = {}
    uses = module.uses + ([] if module.is_face else module.handed_on)
    for path, name in uses:
        path = absolute(module, path)
        target = definition(path) if path else module
        if target is not module:
            found.setdefault(target.name, set()).add(name)
    return found


def circles(graph):
    """Tarjan's strongly connected components of more than one module."""
    order, low, stack, found = {}, {}, [], []

    def visit(node):
        order[node] = low[node] = len(order)
        stack.append(node)
        for target in graph[node]:
            if target not in order:
                visit(target)
            if target in stack:
                low[node] = min(low[node], low[target])
        if low[node] == order[node]:
            found.append({stack.pop() for _ in range(len(stack) - stack.index(node))})

    for node in graph:
        if node not in order:
            visit(node)
    return [circle for circle in found if len(circle) > 1]


def main(folders):
    roots = [Path(folder).resolve() for folder in folders] or [SRC]
    modules = {n: m for n, m in MODULES.items() if any(root in m.file.resolve().parents for root in roots)}
    graph = {n: {t: names for t, names in imports(m).items() if t in modules} for n, m in modules.items()}
    found = circles(graph)
    for circle in found:
        for node in sorted(circle):
            for target in sorted(circle & graph[node].keys()):
                names = ", ".join(sorted(graph[node][target]))
                print(f"{modules[node].file.relative_to(SRC.parent)} -> {modules[target].file.relative_to(SRC.parent)}: {names}")
        print()
    print(f"{len(found)} circles among {len(modules)} files")
    sys.exit(bool(found))


if __name__ == "__main__":
    main(sys.argv[1:])
