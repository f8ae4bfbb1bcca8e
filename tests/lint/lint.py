#!/usr/bin/python3
"""Rules of the source tree that a compiler does not know.

usage: lint.py CHECK ROOT     CHECK is one of the names in CHECKS

Prints "path:line: what is wrong" for each offence; exit code 1 when there is one, 77 when a tool that the
check needs is missing (1 in CI, where nothing may look green that was not checked).

A line may break a rule about words with a comment `lint: reason` on it or above it.
"""
import os
import re
import shutil
import subprocess
import sys

CODE_FOLDERS = ("src", "include", "tests", "examples")
CODE_ENDINGS = (".h", ".hpp", ".cc", ".c")
LINES_MAX = 900
SKIP = 77

# Which folders of src/ the files of a folder may include from, their own left out. Arrows point down, and
# folders of one layer do not know each other. The longest matching folder counts.
MAY_INCLUDE = {
    "common": (),
    "model": ("common",),
    "rpc": ("common", "model"),
    "registry": ("common", "model"),
    "store": ("common", "model"),
    "failstore": ("common", "model"),
    # The scheduling core is pure: it knows records, and no thread, clock or wire.
    "jobtracker/core": ("common", "model", "store"),
    "jobtracker": ("common", "model", "rpc", "registry", "store", "failstore"),
    # Between the layers: what every process needs that is not a JobTracker.
    "discovery": ("common", "model", "rpc", "registry"),
    "tasktracker": ("common", "model", "rpc", "registry", "discovery", "failstore"),
    "jobclient": ("common", "model", "rpc", "registry", "discovery", "failstore"),
    "admin": ("common", "model", "rpc", "registry", "jobclient"),
}

# Third-party headers (what stands between the brackets) and the only files that may include them.
DOORS = (
    (r"(grpcpp|grpc)/|.*\.grpc\.pb\.h$",
     r"src/rpc/|src/.*_service\.(cc|h)$|src/(tasktracker|jobclient)/([^/]*/)*[^/]*(link|channel)[^/]*\.(cc|h)$"),
    (r"rocksdb/", r"src/store/rocksdb/|src/failstore/"),
    (r"leveldb/", r"src/failstore/"),
    (r"spdlog/", r"src/common/log\.cc$"),
    (r"httplib\.h$", r"src/rpc/ops_server\.cc$|src/admin/"),
    (r"curl/", r"src/tasktracker/runners/http_(runner|url)\.cc$"),
    (r"zookeeper/", r"src/registry/zookeeper/"),
    (r"(cppconn/|mysql)", r"src/store/mysql/"),
)
# Public headers need nothing but the language, the system and each other.
NOT_PUBLIC = r"(grpc|grpcpp|google|absl|fmt|spdlog|rocksdb|leveldb|nlohmann|CLI|zookeeper|cppconn|common|model|rpc|store|failstore)/|.*\.pb\.h$|xxhash|httplib|curl/"

# Words, where they are allowed, and what to do instead.
BANNED = (
    (r"\bsleep_(for|until)\b", None, "wait for what is to happen, with a condition or PostAfter"),
    (r"\b(usleep|nanosleep)\b", None, "wait for what is to happen, with a condition or PostAfter"),
    (r"\.detach\s*\(", None, "keep the thread and join it"),
    # gRPC takes its deadlines on this clock only.
    (r"\bsystem_clock::now\b", r"src/common/clock\.h$|src/rpc/", "take a Clock (common/clock.h)"),
    (r"\bGTEST_SKIP\b", None, "a skipped test looks green; fail, or do not register the test"),
    (r"\bstd::cout\b", r"src/jobclient/cli/|src/.*main\.cc$|tests/|examples/",
     "only programs write to standard output; use the log"),
)
UNFINISHED = r"\b(TO" + r"DO|FIX" + r"ME)\b"


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def files_below(root, folders, endings):
    for folder in folders:
        for parent, names, files in os.walk(os.path.join(root, folder)):
            names[:] = sorted(n for n in names if n not in ("node_modules", "__pycache__"))
            for name in sorted(files):
                if name.endswith(endings):
                    yield os.path.relpath(os.path.join(parent, name), root)


def code_files(root):
    return files_below(root, CODE_FOLDERS, CODE_ENDINGS)


TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<tag>[^(\s\\]{0,16})\(.*?\)(?P=tag)"'
    r'|"(?:\\.|[^"\\\n])*"|(?<![0-9A-Fa-f])\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)


def blank_out(text, comments_too=True):
    """The text with literals (and comments) replaced by blanks; lines stay where they are."""
    def blank(match):
        token = match.group(0)
        if token.startswith("/") and not comments_too:
            return token
        return re.sub(r"[^\n]", " ", token)
    return TOKEN.sub(blank, text)


def includes(text):
    # Commented-out ones do not count, so comments go first; the quoted name must stay.
    text = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group(0)), text, flags=re.DOTALL)
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line)
        if match:
            yield number, match.group(1)


def check_layers(root):
    known = {folder.split("/")[0] for folder in MAY_INCLUDE}
    for path in files_below(root, ("src",), CODE_ENDINGS):
        inside = path.split("/", 1)[1]
        if inside.split("/")[0] not in known:
            yield f"{path}:1: a folder of src/ without a layer; add it to MAY_INCLUDE in tests/lint/lint.py"
            continue
        folder = max((f for f in MAY_INCLUDE if inside.startswith(f + "/")), key=len)
        allowed = MAY_INCLUDE[folder] + (folder,)
        for number, header in includes(read(os.path.join(root, path))):
            target = header.split("/")[0]
            if "/" not in header or target not in known:
                continue
            if not any(header.startswith(a + "/") for a in allowed):
                yield (f"{path}:{number}: {folder} may not include {header}; "
                       f"it may use {', '.join(MAY_INCLUDE[folder]) or 'nothing of src/'}")


def check_doors(root):
    for path in files_below(root, ("src", "include"), CODE_ENDINGS):
        for number, header in includes(read(os.path.join(root, path))):
            if path.startswith("include/"):
                if re.match(NOT_PUBLIC, header):
                    yield f"{path}:{number}: a public header may not include {header}"
                continue
            for pattern, door in DOORS:
                if re.match(pattern, header) and not re.match(door, path):
                    yield f"{path}:{number}: {header} belongs behind its door: {door}"


def excused(lines, index):
    return any(re.search(r"lint: \S.{7,}", lines[i]) for i in (index, index - 1) if i >= 0)


def check_words(root):
    for path in code_files(root):
        text = read(os.path.join(root, path))
        lines = text.splitlines()
        code = blank_out(text).splitlines()
        for index, line in enumerate(code):
            for pattern, allowed, advice in BANNED:
                if not re.search(pattern, line) or (allowed and re.match(allowed, path)):
                    continue
                if not excused(lines, index):
                    word = re.search(pattern, line).group(0).strip(".( ")
                    yield f"{path}:{index + 1}: {word}: {advice}"
            if re.search(UNFINISHED, lines[index]):
                yield f"{path}:{index + 1}: unfinished; finish it, or write an issue"


def check_catch_all(root):
    """catch (...) hides what it catches, so the line itself or the one above or below says why it may."""
    for path in code_files(root):
        text = read(os.path.join(root, path))
        comments = blank_out(text, comments_too=False).splitlines()
        for index, line in enumerate(blank_out(text).splitlines()):
            if not re.search(r"\bcatch\s*\(\s*\.\.\.\s*\)", line):
                continue
            near = comments[max(index - 1, 0):index + 2]
            if not any("//" in n or "/*" in n for n in near):
                yield f"{path}:{index + 1}: catch (...) without a comment that says why"


def check_length(root):
    for path in files_below(root, CODE_FOLDERS + ("scripts", "cmake", "proto"),
                            CODE_ENDINGS + (".py", ".sh", ".cmake", ".proto")):
        count = read(os.path.join(root, path)).count("\n")
        if count > LINES_MAX:
            yield f"{path}:{LINES_MAX}: {count} lines; split it by what it does ({LINES_MAX} at most)"


def check_guards(root):
    for path in files_below(root, ("src", "include", "tests"), (".h", ".hpp")):
        text = read(os.path.join(root, path))
        public = path.startswith("include/")
        guard = re.search(r"^#ifndef (LTS_\w+)\n#define \1$", text, re.MULTILINE)
        if public and not guard:
            yield f"{path}:1: a public header needs #ifndef LTS_…_H_ and #define"
        if not public and not re.search(r"^#pragma once$", text, re.MULTILINE):
            yield f"{path}:1: an internal header needs #pragma once"


def names_source(lists, name):
    """Whether a CMakeLists.txt names the file: as it is, or as ${x}.cc with the rest standing in it too."""
    lists = lists.replace("${CMAKE_CURRENT_SOURCE_DIR}/", "")
    if re.search(rf"(?<![\w./-]){re.escape(name)}(?![\w.-])", lists):
        return True
    for pattern in set(re.findall(r"[\w./-]*\$\{\w+\}[\w./-]*", lists)):
        regex = re.sub(r"\\\$\\\{\w+\\\}", r"([\\w.-]+)", re.escape(pattern))
        match = re.fullmatch(regex, name)
        if match and all(re.search(rf"(?<![\w./-]){re.escape(g)}(?![\w.-])", lists) for g in match.groups()):
            return True
    return False


def check_cmake(root):
    """Every source is built: its name stands in the CMakeLists.txt of its folder or of one above."""
    for path in files_below(root, ("src", "tests", "examples"), (".cc", ".c")):
        folder = os.path.dirname(path)
        while True:
            lists = os.path.join(root, folder, "CMakeLists.txt")
            name = os.path.relpath(path, folder or ".")
            if os.path.exists(lists) and names_source(read(lists), name):
                break
            if not folder:
                yield f"{path}:1: in no CMakeLists.txt, so it is not built"
                break
            folder = os.path.dirname(folder)


def tool(name):
    path = shutil.which(name)
    if path:
        return path
    print(f"{name} is missing; scripts/install-deps.sh test installs it")
    sys.exit(1 if os.environ.get("CI") else SKIP)


def compile_header(root, command, header):
    source = f"#include <{header}>\n#include <{header}>\n"  # twice: the guard works
    result = subprocess.run(
        command + ["-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only",
                   "-I", os.path.join(root, "include"), "-"],
        input=source, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        yield f"include/{header}:1: {' '.join(command[:2])} refuses it by itself:\n{result.stderr}"


def check_headers(root):
    """Public headers stand alone as C++17 under both compilers, those of a C ABI as C11 too."""
    gcc, gxx, clang, clangxx = tool("gcc"), tool("g++"), tool("clang-14"), tool("clang++-14")
    for path in files_below(root, ("include",), (".h", ".hpp")):
        header = os.path.relpath(path, "include")
        for compiler in (gxx, clangxx):
            yield from compile_header(root, [compiler, "-std=c++17", "-x", "c++"], header)
        if path.endswith("_abi.h"):
            for compiler in (gcc, clang):
                yield from compile_header(root, [compiler, "-std=c11", "-x", "c"], header)


def check_format(root):
    formatter = tool("clang-format-14")
    paths = list(code_files(root))
    result = subprocess.run([formatter, "--dry-run", "--Werror", *paths], cwd=root,
                            capture_output=True, text=True, check=False)
    first = {}
    for path, line in re.findall(r"^(.+?):(\d+):\d+: error", result.stderr, re.MULTILINE):
        first.setdefault(path, line)
    for path, line in first.items():
        yield f"{path}:{line}: not formatted; clang-format-14 -i {path}"
    if result.returncode != 0 and not first:
        yield result.stderr.rstrip()


def check_shell(root):
    checker = tool("shellcheck")
    scripts = list(files_below(root, ("scripts", "tests", "examples"), (".sh",)))
    if os.path.exists(os.path.join(root, ".ci/run")):
        scripts.append(".ci/run")
    if not scripts:
        return
    result = subprocess.run([checker, "-x", "-f", "gcc", *scripts], cwd=root, capture_output=True,
                            text=True, check=False)
    if result.returncode != 0:
        yield (result.stdout + result.stderr).rstrip()


def gtest_cases(root):
    cases = set()
    for path in files_below(root, ("tests",), (".cc",)):
        cases.update(re.findall(r"^(?:TYPED_)?TEST(?:_[FP])?\(\s*(\w+),\s*(\w+)\s*\)", read(os.path.join(root, path)),
                                re.MULTILINE))
    return {".".join(case) for case in cases}


def has_python_test(root, path, suite, name):
    if not os.path.exists(os.path.join(root, path)):
        return False
    classes = re.split(r"^class (\w+)", read(os.path.join(root, path)), flags=re.MULTILINE)
    bodies = dict(zip(classes[1::2], classes[2::2]))
    return re.search(rf"^    def {name}\(", bodies.get(suite, ""), re.MULTILINE) is not None


TABLE_OF_TESTS = "docs/failures-of-the-original.md"


def check_docs(root):
    """The tests and files that a page names are there, and a row about tests names one or says why none."""
    pages = list(files_below(root, ("docs",), (".md",)))
    if os.path.exists(os.path.join(root, "ARCHITECTURE.md")):
        pages.append("ARCHITECTURE.md")
    cases = gtest_cases(root)
    lists = os.path.join(root, "tests/sim/CMakeLists.txt")
    lists = re.search(r"foreach\(fault ([^)]*)\)", read(lists)) if os.path.exists(lists) else None
    faults = lists.group(1).split() if lists else ()
    files = {path: None for path in files_below(root, CODE_FOLDERS + ("conf", "proto", "scripts", "docs"), "")}
    for page in pages:
        for number, line in enumerate(read(os.path.join(root, page)).splitlines(), 1):
            tests = 0
            for word in re.findall(r"`([^`]+)`", line):
                python = re.fullmatch(r"(\S+\.py)::(\w+)\.(\w+)", word)
                fault = re.fullmatch(r"lts_sim --fault (\w+)", word)
                if python or fault or re.fullmatch(r"[A-Z]\w+\.[A-Z]\w+", word):
                    tests += 1
                    there = (has_python_test(root, *python.groups()) if python else
                             fault.group(1) in faults if fault else word in cases)
                    if not there:
                        yield f"{page}:{number}: there is no test {word}"
                elif re.fullmatch(r"[\w./-]+\.(cc|h|py|sh|proto|md)", word):
                    if not any(path == word or path.endswith("/" + word) for path in files):
                        yield f"{page}:{number}: there is no file {word}"
            row = page == TABLE_OF_TESTS and re.match(r"\| \d", line)
            if row and tests == 0 and "Does not apply:" not in line:
                yield f"{page}:{number}: a row without a test; name one, or say why it does not apply"


def check_reasons(root):
    """Each code of `explain` is met by a unit test and has its row in the table of docs/jobs.md, which has no other."""
    sources = {"src/jobtracker/core/explain.cc": r'"([A-Z]+(?:_[A-Z]+)*)"',
               "src/jobtracker/queries.cc": r'\b(?:add|set_code)\(\s*"([A-Z]+(?:_[A-Z]+)*)"'}
    tests = "".join(read(os.path.join(root, path)) for path in files_below(root, ("tests/unit",), (".cc",)))
    page = "docs/jobs.md"
    text = read(os.path.join(root, page)) if os.path.exists(os.path.join(root, page)) else ""
    explained = text[text.find("## Why it does not run"):] if "## Why it does not run" in text else ""
    table = set(re.findall(r"^\| `([A-Z_]+)` \|", explained, re.MULTILINE))
    codes = set()
    for path, pattern in sources.items():
        if not os.path.exists(os.path.join(root, path)):
            continue
        for number, line in enumerate(read(os.path.join(root, path)).splitlines(), 1):
            for code in re.findall(pattern, line):
                codes.add(code)
                if f'"{code}"' not in tests:
                    yield f"{path}:{number}: no unit test meets the reason {code}"
                if code not in table:
                    yield f"{path}:{number}: the reason {code} is missing in {page}"
    for code in sorted(table - codes):
        yield f"{page}:1: no reason is called {code}"


CHECKS = {
    "layers": check_layers,
    "doors": check_doors,
    "words": check_words,
    "catch_all": check_catch_all,
    "length": check_length,
    "guards": check_guards,
    "cmake": check_cmake,
    "headers": check_headers,
    "format": check_format,
    "shell": check_shell,
    "docs": check_docs,
    "reasons": check_reasons,
}


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in CHECKS:
        print(__doc__)
        print("CHECK:", " ".join(CHECKS))
        return 2
    root = os.path.abspath(sys.argv[2])
    if sys.argv[1] not in ("headers", "shell") and next(code_files(root), None) is None:
        print(f"no source below {root}")
        return 1
    offences = list(CHECKS[sys.argv[1]](root))
    for offence in offences:
        print(offence)
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
