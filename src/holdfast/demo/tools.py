"""What the tools of a made-up session are asked and answer, sized like the real ones."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable
from itertools import accumulate
from random import Random
from typing import NamedTuple

from holdfast.demo.code import Output
from holdfast.demo.files import Project, SourceFile, numbered
from holdfast.demo.text import NEWLINE, Voice, around, pick


class Use(NamedTuple):
    """One call of a tool. `arguments`, `content` and `result` are JSON."""

    name: str
    arguments: str
    content: str
    result: str
    edited: str = ""  # the path of the file that it changed
    slow: Output | None = None  # what a command that takes long prints meanwhile


class Toolbox:
    """Everything that an agent can do in one project, at the rates seen in real logs."""

    def __init__(self, throw: Random, project: Project, voice: Voice) -> None:
        self._throw = throw
        self._project = project
        self._voice = voice
        # People work on few files at a time, and come back to them.
        self._open = [pick(throw, project.paths) for _ in range(8)]
        rates: tuple[tuple[Callable[[int], Use], float], ...] = (
            (self._bash, 41),
            (self._read, 25),
            (self._grep, 14),
            (self._edit, 12.3),
            (self._write, 1.5),
            (self._glob, 2),
            (self._todo, 2.5),
            (self._web, 0.6),
            (self._issue, 0.8),
            (self._ask, 0.6),
        )
        self._tools = [tool for tool, _ in rates]
        self._bounds = list(accumulate(rate for _, rate in rates))

    def use(self, room: int) -> Use:
        """A call whose records stay well below `room` bytes."""
        at = bisect(self._bounds, self._throw.random() * self._bounds[-1])
        return self._tools[at](room)

    def _file(self, most: int) -> SourceFile:
        """A file below `most` bytes, if there is one at hand."""
        if self._throw.random() < 0.3:
            self._open[int(self._throw.random() * 8)] = pick(self._throw, self._project.paths)
        for _ in range(3):
            file = self._project.file(pick(self._throw, self._open))
            if len(file.plain) <= most:
                break
        return file

    def _bash(self, room: int) -> Use:
        throw = self._throw
        output, command = self._project.command(throw)
        length = min(around(throw, 720, 1.6), 30_000, room // 4)
        text = "" if throw.random() < 0.06 else self._project.run(throw, output, length)
        return Use(
            "Bash",
            f'{{"command":"{command}","description":"{output.purpose}"}}',
            f'"{text}"',
            f'{{"stdout":"{text}","stderr":"","interrupted":false,"isImage":false,'
            '"noOutputExpected":false}',
            slow=output if output.slow else None,
        )

    def _read(self, room: int) -> Use:
        throw = self._throw
        file = self._file(room // 3)
        first, count, where = 1, file.count, ""
        if throw.random() > 5_500 / len(file.plain) or len(file.plain) > room // 3:
            first = 1 + int(throw.random() * max(1, file.count - 40))
            count = min(around(throw, 55, 0.8), max(8, room // 90))
            where = f',"offset":{first},"limit":{count}'
        lines = file.lines(first, count)
        path = f"{self._project.cwd}/{file.path}"
        return Use(
            "Read",
            f'{{"file_path":"{path}"{where}}}',
            f'"{numbered(lines, first)}"',
            f'{{"type":"text","file":{{"filePath":"{path}","content":"{NEWLINE.join(lines)}",'
            f'"numLines":{len(lines)},"startLine":{first},"totalLines":{file.count}}}}}',
        )

    def _grep(self, room: int) -> Use:
        throw = self._throw
        pattern = f"{pick(throw, self._project.names)}|{pick(throw, self._project.names)}"
        arguments = f'{{"pattern":"{pattern}","path":"{self._project.cwd}"'
        if throw.random() < 0.25:
            paths = throw.sample(self._project.paths, 1 + int(throw.random() * 16))
            return Use(
                "Grep",
                f'{arguments},"output_mode":"files_with_matches"}}',
                f'"Found {len(paths)} files{NEWLINE}{NEWLINE.join(paths)}"',
                f'{{"mode":"files_with_matches","filenames":{_strings(paths)},'
                f'"numFiles":{len(paths)}}}',
            )
        lines = self._project.grep(throw, min(around(throw, 800, 1.5), 20_000, room // 4))
        text = NEWLINE.join(lines)
        return Use(
            "Grep",
            f'{arguments},"output_mode":"content","-n":true,"-C":{len(lines) % 4}}}',
            f'"{text}"',
            f'{{"mode":"content","numFiles":0,"filenames":[],"content":"{text}",'
            f'"numLines":{len(lines)}}}',
        )

    def _edit(self, room: int) -> Use:
        throw = self._throw
        file = self._file(room // 2)
        first = 1 + int(throw.random() * max(1, file.count - 20))
        old = file.lines(first, 2 + int(throw.random() ** 3 * 24))
        other = 1 + int(throw.random() * max(1, file.count - 30))
        new = file.lines(other, 1 + int(throw.random() ** 2 * 24))
        before, after = NEWLINE.join(old), NEWLINE.join(new)
        around_it = file.lines(max(1, first - 4), 4)
        patch = [f" {line}" for line in around_it]
        patch += [f"-{line}" for line in old]
        patch += [f"+{line}" for line in new]
        path = f"{self._project.cwd}/{file.path}"
        pair = f'"filePath":"{path}","oldString":"{before}","newString":"{after}"'
        whole = f'"{file.plain}"' if len(file.plain) <= room // 2 else "null"
        return Use(
            "Edit",
            f'{{"replace_all":false,"file_path":"{path}","old_string":"{before}",'
            f'"new_string":"{after}"}}',
            f'"The file {path} has been updated. Here is a snippet of it:{NEWLINE}'
            f'{numbered(around_it + new, max(1, first - 4))}"',
            f'{{{pair},"originalFile":{whole},"structuredPatch":[{{"oldStart":{first},'
            f'"oldLines":{len(old) + 4},"newStart":{first},"newLines":{len(new) + 4},'
            f'"lines":{_strings(patch)}}}],"userModified":false,"replaceAll":false}}',
            edited=file.path,
        )

    def _write(self, room: int) -> Use:
        file = self._file(room // 4)
        text = NEWLINE.join(file.lines(1, max(12, min(file.count, room // 120))))
        path = f"{self._project.cwd}/{file.path}"
        return Use(
            "Write",
            f'{{"file_path":"{path}","content":"{text}"}}',
            f'"File created successfully at: {path}"',
            f'{{"type":"create","filePath":"{path}","content":"{text}","structuredPatch":[],'
            '"originalFile":null}',
            edited=file.path,
        )

    def _glob(self, _room: int) -> Use:
        throw = self._throw
        cwd = self._project.cwd
        found = throw.sample(self._project.paths, 1 + int(throw.random() * 24))
        paths = [f"{cwd}/{path}" for path in found]
        return Use(
            "Glob",
            f'{{"pattern":"**/*{found[0][-8:]}","path":"{cwd}"}}',
            f'"{NEWLINE.join(paths)}"',
            f'{{"filenames":{_strings(paths)},"durationMs":{int(throw.random() * 400)},'
            f'"numFiles":{len(paths)},"truncated":false}}',
        )

    def _todo(self, _room: int) -> Use:
        titles = [self._voice.title() for _ in range(2 + int(self._throw.random() * 5))]
        done = int(self._throw.random() * len(titles))
        before, after = _todos(titles, done), _todos(titles, done + 1)
        return Use(
            "TodoWrite",
            f'{{"todos":{after}}}',
            '"Todos have been modified successfully. Please proceed with the current tasks."',
            f'{{"oldTodos":{before},"newTodos":{after}}}',
        )

    def _web(self, _room: int) -> Use:
        query, found = self._voice.title(), self._voice.prose(1_300)
        hits = ",".join(
            f'{{"title":"{self._voice.title()}","url":"https://example.com/{number}/{name}"}}'
            for number, name in enumerate(self._throw.sample(self._project.names, 8))
        )
        return Use(
            "WebSearch",
            f'{{"query":"{query}"}}',
            f'"Web search results for query: {query}{NEWLINE * 2}{found}"',
            f'{{"query":"{query}","results":[{{"content":[{hits}]}},"{found}"],'
            f'"durationSeconds":{2 + self._throw.random() * 9:.3f}}}',
        )

    def _issue(self, _room: int) -> Use:
        text = self._voice.prose(900)
        content = f'[{{"type":"text","text":"{self._voice.title()}{NEWLINE * 2}{text}"}}]'
        number = 100 + int(self._throw.random() * 900)
        return Use("mcp__tracker__get_issue", f'{{"id":"DEMO-{number}"}}', content, content)

    def _ask(self, _room: int) -> Use:
        question = f"{self._voice.title()}?"
        options = [self._voice.title() for _ in range(3)]
        chosen = pick(self._throw, options)
        listed = ",".join(
            f'{{"label":"{option}","description":"{self._voice.sentence()}"}}' for option in options
        )
        questions = (
            f'[{{"question":"{question}","header":"Choice","options":[{listed}],'
            '"multiSelect":false}]'
        )
        return Use(
            "AskUserQuestion",
            f'{{"questions":{questions}}}',
            rf'"User has answered your questions: \"{question}\"=\"{chosen}\". You can now '
            "continue with the user's answers in mind.\"",
            f'{{"questions":{questions},"answers":{{"{question}":"{chosen}"}}}}',
        )


def _strings(texts: list[str]) -> str:
    return '["' + '","'.join(texts) + '"]' if texts else "[]"


def _todos(titles: list[str], done: int) -> str:
    states = ["completed"] * done + ["in_progress"] + ["pending"] * len(titles)
    items = (
        f'{{"content":"{title}","status":"{state}","activeForm":"{title}"}}'
        for title, state in zip(titles, states, strict=False)
    )
    return f"[{','.join(items)}]"
