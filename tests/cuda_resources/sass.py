"""Machine code as nvdisasm prints it: instructions, basic blocks, loops.

Blocks and edges come from labels and branches. Loops are natural loops: a header that dominates
the source of a branch back to it, and every block on the way from the header to that branch.
"""

import dataclasses
import re

_FUNCTION = re.compile(r"^\.text\.(\S+):")
_LABEL = re.compile(r"^([.$]?[\w$]+):")
_INSTRUCTION = re.compile(
    r"^\s*/\*[0-9a-f]+\*/\s+(?:@(?P<guard>!?\w+)\s+)?"
    r"(?P<opcode>[A-Z][\w.]*)\s*(?P<operands>[^;]*);")
_TARGET = re.compile(r"`\(([^)]+)\)")
_TARGETS = re.compile(r'BRANCH_TARGETS ([^"]*)"')
# nvcc makes jumps inside a function of CALL, too.
_JUMPS = ("BRA", "BRX", "BRXU", "CALL")


@dataclasses.dataclass(frozen=True)
class Instruction:
    opcode: str  # with its suffixes: LDG.E.128.CONSTANT
    operands: tuple[str, ...] = ()
    guard: str | None = None  # predicate: P0, !UP3

    @property
    def base(self):
        return self.opcode.split(".")[0]

    @property
    def targets(self):
        """Labels to which a branch may go."""
        text = ",".join(self.operands)
        table = _TARGETS.search(text)
        return table.group(1).split(",") if table else _TARGET.findall(text)

    @property
    def calls(self):
        """A call that comes back: of a function, not of a label inside this one."""
        return self.base == "CALL" and not all(t.startswith(".L") for t in self.targets)


@dataclasses.dataclass
class Block:
    instructions: list[Instruction]
    successors: list[int]


@dataclasses.dataclass(frozen=True)
class Loop:
    header: int
    blocks: frozenset[int]


# ---- parsing ------------------------------------------------------------------------------------


def functions(text):
    """{mangled name: [label or Instruction, ...]} of every kernel."""
    found, lines = {}, None
    for line in text.splitlines():
        if start := _FUNCTION.match(line):
            lines = found[start.group(1)] = []
        elif line.lstrip().startswith(".section"):
            lines = None
        elif lines is None:
            continue
        elif label := _LABEL.match(line):
            lines.append(label.group(1))
        elif match := _INSTRUCTION.match(line):
            operands = tuple(o.strip() for o in match["operands"].split(",") if o.strip())
            lines.append(Instruction(match["opcode"], operands, match["guard"]))
    return found


def _split(lines):
    """Runs of instructions that are entered at the top only, and the run that each label opens."""
    runs, labels, waiting, ended = [], {}, [], True
    for line in lines:
        if isinstance(line, str):
            waiting.append(line)
            continue
        if waiting or ended:
            runs.append([])
            labels.update((label, len(runs) - 1) for label in waiting)
            waiting = []
        runs[-1].append(line)
        ended = line.base in _JUMPS or line.base in ("EXIT", "RET")
    return runs, labels


def _successors(last, number, count, labels):
    following = [number + 1] if number + 1 < count else []
    if last.base in ("EXIT", "RET"):
        return following if last.guard else []
    # BRA.DIV and BRA.CONV leave for code that serves warps which have come apart.
    apart = ".DIV" in last.opcode or ".CONV" in last.opcode
    if last.base not in _JUMPS or last.calls or apart:
        return following
    to = [labels[target] for target in last.targets if target in labels]
    conditional = last.guard is not None or (last.base == "BRA" and len(last.operands) > 1)
    return list(dict.fromkeys(to + following)) if conditional else to


def blocks_of(lines):
    """The control flow graph of one function; its first block is the entry."""
    runs, labels = _split(lines)
    return [Block(run, _successors(run[-1], number, len(runs), labels))
            for number, run in enumerate(runs)]


# ---- loops --------------------------------------------------------------------------------------


def _predecessors(blocks):
    before = [[] for _ in blocks]
    for number, block in enumerate(blocks):
        for to in block.successors:
            before[to].append(number)
    return before


def _dominators(blocks, before):
    """Bit sets of the blocks that every way from the entry passes; all bits where there is none."""
    every = (1 << len(blocks)) - 1
    dominators = [every] * len(blocks)
    dominators[0] = 1
    changed = True
    while changed:
        changed = False
        for number in range(1, len(blocks)):
            common = every
            for earlier in before[number]:
                common &= dominators[earlier]
            common |= 1 << number
            if common != dominators[number]:
                dominators[number], changed = common, True
    return dominators


def _reachable(blocks):
    seen, todo = set(), [0]
    while todo:
        number = todo.pop()
        if number not in seen:
            seen.add(number)
            todo.extend(blocks[number].successors)
    return seen


def loops_of(blocks):
    """Natural loops, inner ones before those around them. Loops of one header are one."""
    before, seen = _predecessors(blocks), _reachable(blocks)
    dominators = _dominators(blocks, before)
    bodies = {}
    for latch in seen:
        for header in blocks[latch].successors:
            if not dominators[latch] >> header & 1:
                continue
            body, todo = bodies.setdefault(header, {header}), [latch]
            while todo:
                number = todo.pop()
                if number not in body and number in seen:
                    body.add(number)
                    todo.extend(before[number])
    found = [Loop(header, frozenset(body)) for header, body in bodies.items()]
    return sorted(found, key=lambda loop: (len(loop.blocks), loop.header))
