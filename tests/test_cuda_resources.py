"""The reading of machine code, on small pieces of it: no compiler is needed."""

import pytest

from cuda_resources import __main__ as program
from cuda_resources import compiler, measure, occupancy, sass

HEAD = "\t.section\t.text.k,\"ax\",@progbits\n.text.k:\n        .type           k,@function\n"


def lines_of(text):
    """Instructions and labels of a kernel k, one a line."""
    body = [line if line.endswith(":") else f"        /*0000*/                   {line} ;"
            for line in map(str.strip, text.splitlines()) if line]
    return sass.functions(HEAD + "\n".join(body) + "\n")["k"]


def code_of(text, double=False):
    return measure.Code(lines_of(text), double)


def product(count=32, registers=range(16, 32)):
    """A product loop of `count` fma and two instructions more; it ends at P0's false."""
    registers = list(registers)
    body = [f"FFMA R{r}, R4, R8.reuse, R{r}" for r in registers] * (count // len(registers))
    return "\n".join([".L_product:", "LDS.128 R4, [R3]", *body, "@P0 BRA `(.L_product)"])


TANH = "MUFU.RCP R41, R40\nFFMA R42, R41, R40, R41"


# ---- instructions, blocks, loops ----------------------------------------------------------------


def test_instructions_have_guard_opcode_and_operands():
    guarded, plain, jump = lines_of("""
        @!P3 LDG.E.128 R28, desc[UR14][R38.64+0x10]
        EXIT
        BRXU UR10 -0x7660   (*"BRANCH_TARGETS .L_1,.L_2"*)
    """)
    assert guarded == sass.Instruction("LDG.E.128", ("R28", "desc[UR14][R38.64+0x10]"), "!P3")
    assert plain == sass.Instruction("EXIT")
    assert jump.targets == [".L_1", ".L_2"]


def test_what_is_not_code_is_left_out():
    code = "        /*0000*/                   EXIT ;\n"
    data = '\t.section\t.nv.info,""\n        /*0000*/ .byte 0x04\n'
    assert sass.functions(HEAD + code + data) == {"k": [sass.Instruction("EXIT")]}


@pytest.mark.parametrize(("branch", "successors"), [
    ("BRA `(.L_end)", [2]),
    ("@P0 BRA `(.L_end)", [2, 1]),
    ("BRA.U !UP0, `(.L_end)", [2, 1]),
    ("BRA.DIV UR4, `(.L_end)", [1]),
    ("@P0 EXIT", [1]),
    ("EXIT", []),
    ("RET.REL.NODEC R4 `(k)", []),
    ("CALL.REL.NOINC `($__internal_0_$slow)", [1]),
    ("@P4 CALL.REL.NOINC `(.L_end)", [2, 1]),
    ('BRX R4 -0xfb0 (*"BRANCH_TARGETS .L_end,.L_next"*)', [2, 1]),
])
def test_where_a_block_goes(branch, successors):
    blocks = sass.blocks_of(lines_of(f"{branch}\n.L_next:\nNOP\n.L_end:\nEXIT"))
    assert blocks[0].successors == successors


def test_only_calls_of_functions_come_back():
    call, jump = lines_of("CALL.REL.NOINC `($__internal_0_$slow)\nCALL.REL.NOINC `(.L_1)")
    assert call.calls and not jump.calls


def test_loops_are_found_inner_ones_first():
    loops = sass.loops_of(sass.blocks_of(lines_of("""
        MOV R0, R1
        .L_outer:
        MOV R2, R3
        .L_inner:
        IADD3 R2, R2, 1
        @P0 BRA `(.L_inner)
        IADD3 R0, R0, 1
        @P1 BRA `(.L_outer)
        EXIT
    """)))
    assert [(loop.header, sorted(loop.blocks)) for loop in loops] == [(2, [2]), (1, [1, 2, 3])]


# ---- what they cost -----------------------------------------------------------------------------


def test_a_product_loop_is_mostly_fma_and_touches_no_global_memory():
    assert measure.product_of(code_of(product() + "\nEXIT")) == (34, 32)
    loads = product().replace("LDS.128 R4, [R3]", "LDG.E R4, desc[UR4][R2.64]")
    assert measure.product_of(code_of(loads + "\nEXIT")) is None
    assert measure.product_of(code_of(product(8, range(16, 24)) + "\nEXIT")) is None


def test_the_reciprocal_of_an_integer_division_is_no_tanh():
    division = "I2F.U32.RP R7, UR11\nMUFU.RCP R7, R7\nIADD3 R2, R7, 0xffffffe, RZ"
    assert measure.tanh_count(lines_of(division)) == 0
    assert measure.tanh_count(lines_of(division + "\nFADD R7, R1, 2\nMUFU.RCP R8, R7")) == 1
    assert measure.tanh_count(lines_of("MUFU.RCP64H R9, R11")) == 1


STEP = """
    .L_step:
    CS2R R16, SRZ
    {product}
    {rows}
    BAR.SYNC.DEFER_BLOCKING 0x0
    @P1 BRA `(.L_step)
    EXIT
"""


def test_rows_run_until_all_elements_have_had_their_turn():
    rows = f"""
        .L_rows:
        LDG.E.64 R50, desc[UR4][R2.64]
        {TANH}
        {TANH}
        STG.E.64 desc[UR4][R6.64], R42
        @P2 BRA `(.L_rows)
    """
    found = measure.epilogue_of(code_of(STEP.format(product=product(), rows=rows)))
    assert found == (8 * 7 + 2, 16)  # eight turns of seven instructions, a barrier and a branch


def test_rows_that_are_written_out_cost_the_same_however_they_are_cut():
    first = f"LDG.E.64 R50, desc[UR4][R2.64]\n{TANH}\n{TANH}"
    rows = f"{first}\n.L_rows:\n{first}\n@P2 BRA `(.L_rows)"
    found = measure.epilogue_of(code_of(STEP.format(product=product(), rows=rows)))
    assert found == (5 + 7 * 6 + 2, 16)


def test_slow_paths_and_other_nonlinearities_are_not_the_usual_way():
    rows = f"""
        @P3 BRA `(.L_linear)
        .L_rows:
        {TANH}
        @P4 BRA `(.L_fine)
        CALL.REL.NOINC `($__internal_0_$slow)
        .L_fine:
        @P2 BRA `(.L_rows)
        BRA `(.L_done)
        .L_linear:
        NOP
        .L_done:
        NOP
    """
    found = measure.epilogue_of(code_of(STEP.format(product=product(), rows=rows)))
    assert found == (1 + 16 * 4 + 1 + 1 + 2, 16)


def test_backward_counts_both_sides_of_the_product():
    text = """
        .L_step:
        LDG.E.128 R32, desc[UR4][R2.64]
        @P5 BRA `(.L_no_keeper)
        DADD R60, R60, R62
        DADD R60, R60, R62
        .L_no_keeper:
        NOP
        {product}
        FMUL R16, R16, R32
        @P1 BRA `(.L_step)
        EXIT
    """.format(product=product())
    assert measure.epilogue_of(code_of(text)) == (5, 16)


def test_sums_are_counted_though_they_change_registers():
    away, back = "FFMA R33, R4, R8, R31", "FFMA R31, R4, R8, R33"
    others = product(30, range(16, 31))
    moving = others.replace("@P0", f"{away}\n{back}\n@P0")
    found = measure.epilogue_of(code_of(STEP.format(product=moving, rows=f"{TANH}\n{TANH}")))
    assert found.elements == 16


def test_a_kernel_without_a_product_is_counted_by_the_element():
    text = f"""
        .L_units:
        LDG.E R1, desc[UR4][R2.64]
        {TANH}
        STG.E desc[UR4][R6.64], R42
        @P0 BRA `(.L_units)
        EXIT
    """
    assert measure.epilogue_of(code_of(text)) == (5, 1)
    doubles = text.replace(TANH, "DADD R1, R1, R1").replace("G.E ", "G.E.64 ")
    assert measure.epilogue_of(code_of(doubles, double=True)) == (4, 1)
    products = "\n".join(["FFMA R60, R61, R62, R60"] * 4)
    whole = code_of(text.replace(TANH, f"{products}\n{TANH}\n{TANH}"))
    assert measure.epilogue_of(whole, units=2) == (7, 2)
    assert measure.epilogue_of(whole, units=1, gates=4) == (7, 1)


def test_a_kernel_that_is_one_step_is_counted_by_its_loop_over_rows():
    rows = f"""
        .L_rows:
        LDG.E R50, desc[UR4][R2.64]
        {TANH}
        ST.E desc[UR4][R4.64], R42
        @P2 BRA `(.L_rows)
        EXIT
    """
    assert measure.epilogue_of(code_of(f"{product()}\n{rows}")) == (5, 1)
    gated = rows.replace(TANH, "FMUL R42, R50, R51").replace("ST.E ", "ST.E.64 ")
    assert measure.epilogue_of(code_of(f"{product()}\n{gated}")) == (4, 2)


# ---- names, occupancy, tables -------------------------------------------------------------------


@pytest.mark.parametrize(("mangled", "name"), [
    ("_ZN46_GLOBAL__N__498a8548_13_persistent_cu_3b9e86bb14forward_kernelIfLi8ELi4EEEv7problem",
     "forward_kernel<float, 8, 4>"),
    ("_ZN1_3cutIdL15rs_nonlinearity2ELb1EEEvv", "cut<double, 2, 1>"),
    ("_Z17draw_input_kernelmiiiiiPd", "draw_input_kernel"),
])
def test_mangled_names(mangled, name):
    assert compiler.readable(mangled) == name


@pytest.mark.parametrize(("demangled", "name"), [
    ("void (anonymous namespace)::forward_kernel<float, 8, 4>(problem, arrays<float>, tiling)",
     "forward_kernel<float, 8, 4>"),
    ("void cut<double, (rs_nonlinearity)2, true>(problem)", "cut<double, 2, 1>"),
])
def test_demangled_names(demangled, name):
    assert compiler.short(demangled) == name


@pytest.mark.parametrize(("name", "units"), [
    ("small_forward<float, 8, 1>", (8, 1)),
    ("small_gated_backward<double, 6, 2>", (6, 4)),
    ("small_gated_forward<float, 10, 3>", (10, 3)),
    ("forward_kernel<float, 8, 4, 2>", (None, 1)),
])
def test_units_and_gates_of_the_small_path(name, units):
    assert compiler.units_of(name) == units


@pytest.mark.parametrize(("arch", "registers", "threads", "shared", "blocks"), [
    (90, 32, 1024, 0, 2),        # warps
    (90, 32, 32, 0, 32),         # blocks
    (90, 128, 128, 0, 4),        # registers
    (90, 255, 512, 0, 0),        # of these not even one
    (90, 117, 256, 115968, 1),   # shared memory: 512 bytes too much for two
    (90, 117, 256, 115456, 2),
    (80, 117, 128, 42240, 3),
])
def test_blocks_of_a_processor(arch, registers, threads, shared, blocks):
    assert occupancy.blocks(arch, registers, threads, shared) == blocks


def test_before_and_after():
    before = [{"kernel": "a", "n": 1, "x": ""}, {"kernel": "b", "n": 2, "x": 3}]
    after = [{"kernel": "a", "n": 1, "x": 5}, {"kernel": "c", "n": 4, "x": ""}]
    assert program.compared(after, before, ("kernel",)) == [
        {"kernel": "a", "n": 1, "x": "none -> 5"},
        {"kernel": "c", "n": "new: 4", "x": ""},
        {"kernel": "b", "n": "2 -> gone", "x": "3 -> gone"}]


def kernel(name, spilled=0, slots=None):
    epilogue = measure.Epilogue(slots * 32, 32) if slots else None
    return compiler.Kernel(name, 90, 255, spilled, 0, None, epilogue)


def test_only_f32_must_not_spill():
    assert program.broken_limits([kernel("small_backward<double, 4>", 16)], False) == []
    assert program.broken_limits([kernel("forward_kernel<float, 8, 4>", 16)], False) == [
        "forward_kernel<float, 8, 4> on sm_90 spills 16 bytes"]


def test_tanh_has_a_limit():
    name = "forward_kernel<float, 8, 4, 0>"
    assert program.broken_limits([kernel(name, slots=45)], True) == []
    assert program.broken_limits([kernel(name, slots=45.5)], True) == [
        f"{name} on sm_90 needs 45.5 issue slots per element, more than 45"]
    assert program.broken_limits([kernel(name)], True) == [
        "no forward_kernel<float> on sm_90, whose tanh is limited"]
    assert program.broken_limits([kernel(name)], False) == []
