"""What a built program is made of: its code by functions, and what is the port's, the runtime's and the kernels'."""

from __future__ import annotations

from dataclasses import dataclass

from elftools.elf.elffile import ELFFile

from pipeline.firmware.elf import ElfReport

_FUNCTION = "STT_FUNC"
_RUNTIME = "_ZN5danas7runtime"
_KERNELS = "_ZN5danas3aot"
_PORT = ("_ZN5danas", "danas_", "Reset_Handler", "main")


@dataclass(frozen=True)
class Anatomy:
    """Bytes of a program by what they belong to; ``functions`` are kernels' and libraries', by name."""

    report: ElfReport
    port: int
    runtime: int
    functions: dict[str, int]
    parameters: int

    @property
    def rodata(self) -> int:
        """Bytes of the section .rodata."""
        return self.report.sections[".rodata"]


def dissect(report: ElfReport) -> Anatomy:
    """Share out .text: each byte belongs to the last function that begins before it, padding and literals included."""
    with report.path.open("rb") as file:
        elf = ELFFile(file)
        text = elf.get_section_by_name(".text")
        start, end = text["sh_addr"], text["sh_addr"] + text["sh_size"]
        names: dict[int, str] = {}
        parameters = 0
        for symbol in elf.get_section_by_name(".symtab").iter_symbols():
            address, name = symbol["st_value"] & ~1, symbol.name
            if symbol["st_info"]["type"] == _FUNCTION and start <= address < end:
                names[address] = min(names.get(address, name), name)
            elif "kStage" in name and "kStages" not in name and symbol["st_size"]:
                parameters += -(-symbol["st_size"] // 4) * 4
    addresses = sorted(names)
    sizes = {"port": addresses[0] - start, "runtime": 0}
    functions: dict[str, int] = {}
    for address, following in zip(addresses, [*addresses[1:], end], strict=True):
        name, size = names[address], following - address
        if name.startswith(_RUNTIME):
            sizes["runtime"] += size
        elif name.startswith(_KERNELS) or not name.startswith(_PORT):
            functions[name] = size
        else:
            sizes["port"] += size
    return Anatomy(report, functions=functions, parameters=parameters, **sizes)
