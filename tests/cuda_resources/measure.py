"""What a kernel's machine code costs: instructions per fma of its product loop, and issue slots per
element of its epilogue.

Nothing here knows the source's statements. The product loop is an innermost loop that is mostly
fma. The loop around it and around the elements' loads and tanh is a step; the epilogue is what a
step issues on its usual way, less the product loop:

    step:   product:  LDS, FFMA, ...   -> instructions per fma
            rows:     LDG drive, tanh, ST h, ST slope
            bookkeeping, barriers      -> with the rows: slots per element

The usual way computes all tanh, loads all there is to load from global memory, and then is the
shortest: not through slow paths of divisions (calls) and atomics, not through remainders of
products, not streaming W0.
"""

import operator
import typing

from . import sass

# A product loop has at least so many fma, and at least this part of its instructions are.
LEAST_FMA = 16
LEAST_FMA_SHARE = 0.4


class Cost(typing.NamedTuple):
    """Of a path; the usual path is the greatest by `rank`."""

    rare: float = 0  # blocks with calls and atomics
    products: float = 0  # loops
    tanh: float = 0
    words: float = 0  # of 32 bits, read from global memory
    slots: float = 0

    def plus(self, other):
        return Cost(*map(operator.add, self, other))

    def times(self, count):
        return Cost(*(part * count for part in self))

    @property
    def rank(self):
        return -self.rare, self.products, self.tanh, self.words, -self.slots


# ---- instructions and blocks --------------------------------------------------------------------


def fma_count(instruction):
    """FFMA2 is two."""
    return {"FFMA": 1, "DFMA": 1, "FFMA2": 2}.get(instruction.base, 0)


LOADS = ("LDG", "LD")  # of global memory; LD is of any
STORES = ("STG",)
ANY_STORES = ("STG", "ST")  # ST is to any memory


def words_of(instruction, memory):
    """32-bit words that a thread moves, where the instruction is one of `memory`'s."""
    if instruction.base not in memory:
        return 0
    return 4 if ".128" in instruction.opcode else 2 if ".64" in instruction.opcode else 1


def _register(operand):
    return operand.split(".")[0].lstrip("-|").rstrip("|")


def tanh_count(instructions):
    """Reciprocals: a tanh has one. That of an integer division, of a converted integer, is not
    counted."""
    converted, count = set(), 0
    for instruction in instructions:
        if instruction.base in ("I2F", "I2FP"):
            converted.add(_register(instruction.operands[0]))
            continue
        if instruction.opcode in ("MUFU.RCP", "MUFU.RCP64H"):
            count += _register(instruction.operands[1]) not in converted
        if instruction.operands:
            converted.discard(_register(instruction.operands[0]))
    return count


def _cost(block):
    rare = any(i.calls or i.base in ("ATOM", "ATOMS", "ATOMG", "RED") for i in block.instructions)
    return Cost(int(rare), 0, tanh_count(block.instructions),
                sum(words_of(i, LOADS) for i in block.instructions), len(block.instructions))


# ---- loops --------------------------------------------------------------------------------------


class Code:
    """A kernel's blocks and loops."""

    def __init__(self, lines, double=False):
        self.words_each = 2 if double else 1  # of a number
        self.blocks = sass.blocks_of(lines)
        self.loops = sass.loops_of(self.blocks)
        self.products = [loop for loop in self.loops if self._is_product(loop)]

    def instructions(self, loop):
        return [i for number in sorted(loop.blocks) for i in self.blocks[number].instructions]

    def inner(self, loop):
        """Loops directly inside."""
        inside = [o for o in self.loops if o.blocks < loop.blocks]
        return [o for o in inside if not any(o.blocks < other.blocks for other in inside)]

    def _is_product(self, loop):
        inside = self.instructions(loop)
        fma = sum(map(fma_count, inside))
        return (not self.inner(loop) and fma >= LEAST_FMA and
                fma >= LEAST_FMA_SHARE * len(inside) and
                not any(words_of(i, LOADS + STORES) for i in inside))

    def usual(self, loop, elements=0):
        """Cost of one iteration's usual way, product loops left out; and of its part behind the
        last product, or None. A loop inside that computes or loads a part of the `elements` of a
        thread runs until it has had them all; another one runs once."""
        whole, behind = self._way(loop, elements)
        over = whole.tanh - elements if elements else 0
        # An iteration that the compiler wrote out beside its loop is one of the loop's less.
        return self._way(loop, elements - over) if over > 0 else (whole, behind)

    def _way(self, loop, elements):
        node_of = {number: number for number in loop.blocks}
        cost = {number: _cost(self.blocks[number]) for number in loop.blocks}
        members = {number: [number] for number in loop.blocks}
        for inner in self.inner(loop):
            node_of.update((number, inner.header) for number in inner.blocks)
            members[inner.header] = sorted(inner.blocks)
            cost[inner.header] = self._all_turns(inner, elements)

        found = {}

        def rest(node):
            """From the node to the end of the iteration: cost in all, and behind the last product;
            None where every way leaves the loop."""
            if node in found:
                return found[node]
            found[node] = None  # for a cycle that is no natural loop
            ways = []
            for to in {s for number in members[node] for s in self.blocks[number].successors}:
                if to == loop.header:
                    ways.append((Cost(), None))
                elif node_of.get(to, node) != node and (way := rest(node_of[to])):
                    ways.append(way)
            if not ways:
                return None
            whole, behind = max(ways, key=lambda way: way[0].rank)
            if behind is None and cost[node].products:
                behind = whole
            found[node] = cost[node].plus(whole), behind
            return found[node]

        return rest(loop.header)

    def _all_turns(self, loop, elements):
        if loop in self.products:
            return Cost(products=1)
        once, _ = self._way(loop, elements)
        part = once.tanh or once.words / self.words_each
        return once.times(elements / part if part and elements and not once.products else 1)


# ---- figures ------------------------------------------------------------------------------------


class Product(typing.NamedTuple):
    instructions: int
    fma: int


class Epilogue(typing.NamedTuple):
    slots: float  # of a thread's step
    elements: int  # of a thread


def product_of(code):
    """The product loop that needs most instructions per fma, or None."""
    found = []
    for loop in code.products:
        inside = code.instructions(loop)
        found.append(Product(len(inside), sum(map(fma_count, inside))))
    return max(found, key=lambda p: p.instructions / p.fma, default=None)


def _accumulators(code):
    """Numbers of the product that a thread holds: sums that its fma carry on, which may change
    their registers on the way."""
    most = 0
    for loop in code.products:
        sum_in, sums = {}, set()
        for i in code.instructions(loop):
            if not i.operands:
                continue
            register = _register(i.operands[0])
            if fma_count(i):
                addend = _register(i.operands[3])
                sum_in[register] = sum_in.get(addend, addend)
                sums.add(sum_in[register])
            else:
                sum_in.pop(register, None)
        most = max(most, len(sums))
    return most


def _step(code):
    """The innermost loop that has all a step has: a product where there is one, and all tanh, or
    else loads and stores. Of several, say for each nonlinearity, that which does most."""
    tanh = any(tanh_count(code.instructions(loop)) for loop in code.loops)

    def has_all(loop):
        inside = code.instructions(loop)
        if code.products and not any(product.blocks < loop.blocks for product in code.products):
            return False
        if tanh:
            return tanh_count(inside) > 0
        needed = (LOADS,) if code.products else (LOADS, STORES)
        return all(any(words_of(i, memory) for i in inside) for memory in needed)

    fit = [loop for loop in code.loops if has_all(loop)]
    innermost = [loop for loop in fit if not any(other.blocks < loop.blocks for other in fit)]
    return max(innermost, key=lambda loop: code.usual(loop)[0].rank, default=None)


def _rows(code):
    """Where the whole kernel is a step: the loop over the rows of what the product left, or None."""
    tanh = any(tanh_count(code.instructions(loop)) for loop in code.loops)

    def ends_rows(loop):
        inside = code.instructions(loop)
        return (loop not in code.products and any(words_of(i, ANY_STORES) for i in inside) and
                (tanh_count(inside) > 0 or not tanh))

    fit = [loop for loop in code.loops if code.products and ends_rows(loop)]
    innermost = [loop for loop in fit if not any(other.blocks < loop.blocks for other in fit)]
    return max(innermost, key=lambda loop: code.usual(loop)[0].rank, default=None)


def _epilogue_of_rows(code):
    rows = _rows(code)
    if rows is None:
        return None
    slots = code.usual(rows)[0]
    stored = sum(words_of(i, ANY_STORES) for i in code.instructions(rows)) // code.words_each
    return Epilogue(slots.slots, int(slots.tanh) or stored)


def epilogue_of(code, units=None, gates=1):
    """What a step costs but for its product; where the kernel has no loop over steps, what its loop
    over rows costs; None where it has neither.

    `units`: H of a kernel whose thread has all units, the product written out. Its K * H * H fma
    are not counted, with K `gates`. A kernel with neither product is counted by the element: of a tanh, or of a stored
    word."""
    loop = _step(code)
    if loop is None:
        return _epilogue_of_rows(code)
    elements = _accumulators(code) or units
    whole, behind = code.usual(loop, elements or 0)
    if behind and behind.tanh:
        return Epilogue(behind.slots, elements)
    if code.products:
        return Epilogue(whole.slots, elements)
    if units:
        return Epilogue(whole.slots - gates * units * units, units)
    stored = sum(words_of(i, STORES) for i in code.instructions(loop))
    return Epilogue(whole.slots, int(whole.tanh) or stored // code.words_each)
