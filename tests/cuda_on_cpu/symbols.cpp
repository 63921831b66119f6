#include "symbols.h"

#include "failure.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cxxabi.h>
#include <elf.h>
#include <fstream>
#include <iterator>
#include <link.h>
#include <map>
#include <mutex>

namespace cuda_on_cpu {

/* The program itself is the first object that the linker names. */
static int take_program(dl_phdr_info *info, size_t, void *program) {
    *static_cast<dl_phdr_info *>(program) = *info;
    return 1;
}

static dl_phdr_info program() {
    dl_phdr_info info;
    dl_iterate_phdr(take_program, &info);
    return info;
}

char *thread_local_storage() { return static_cast<char *>(program().dlpi_tls_data); }

struct Symbol {
    std::string name;
    int type;
    uint64_t value, size;
};

static std::vector<Symbol> read_symbols() {
    std::ifstream file("/proc/self/exe", std::ios::binary);
    std::vector<char> const elf{std::istreambuf_iterator<char>(file), {}};
    auto const *const header = reinterpret_cast<const Elf64_Ehdr *>(elf.data());
    if (elf.size() < sizeof *header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        fail("/proc/self/exe: not an ELF file");
    std::vector<Symbol> symbols;
    auto const *const sections = reinterpret_cast<const Elf64_Shdr *>(elf.data() + header->e_shoff);
    for (size_t i = 0; i < header->e_shnum; ++i) {
        if (sections[i].sh_type != SHT_SYMTAB) continue;
        auto const *const entries =
            reinterpret_cast<const Elf64_Sym *>(elf.data() + sections[i].sh_offset);
        const char *const names = elf.data() + sections[sections[i].sh_link].sh_offset;
        for (size_t s = 0; s < sections[i].sh_size / sizeof *entries; ++s)
            symbols.push_back({names + entries[s].st_name, ELF64_ST_TYPE(entries[s].st_info),
                               entries[s].st_value, entries[s].st_size});
    }
    return symbols;
}

static std::string demangled(const std::string &symbol) {
    int status = 0;
    char *const text = abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status);
    std::string const name = text ? text : symbol;
    std::free(text);
    return name;
}

static KernelSymbols find(const void *kernel) {
    static const std::vector<Symbol> symbols = read_symbols();
    uint64_t const address = reinterpret_cast<uint64_t>(kernel) - program().dlpi_addr;
    char text[32];
    std::snprintf(text, sizeof text, "at %p", kernel);
    KernelSymbols found = {text, {}};
    std::string own; /* how the names of the kernel's local variables begin */
    for (const Symbol &symbol : symbols) {
        if (symbol.type != STT_FUNC || symbol.value != address) continue;
        found.name = demangled(symbol.name);
        own = symbol.name.rfind("_Z", 0) == 0 ? "_ZZ" + symbol.name.substr(2) + "E"
                                              : "_ZZ" + symbol.name + "E";
    }
    for (const Symbol &symbol : symbols)
        if (symbol.type == STT_TLS && !own.empty() && symbol.name.rfind(own, 0) == 0)
            found.shared.push_back({symbol.value, symbol.size});
    return found;
}

const KernelSymbols &kernel_symbols(const void *kernel) {
    static std::mutex lock;
    static std::map<const void *, KernelSymbols> known;
    std::lock_guard<std::mutex> const guard(lock);
    auto const at = known.find(kernel);
    return at != known.end() ? at->second : known.emplace(kernel, find(kernel)).first->second;
}

} // namespace cuda_on_cpu
