# Words, of which one is the value.
_rhosweep_word() {
    compadd -- "$@"
}

# Words parted by commas.
_rhosweep_list() {
    compset -P '*,'
    compadd -S '' -- "$@"
}

_rhosweep() {
    local curcontext="$curcontext" state line
    typeset -A opt_args
    _arguments -C \
        '(- *)'{-h,--help}'[This text]' \
        '(- *)'{-V,--version}'[Version and commit]' \
        '1: :->command' \
        '*:: :->rest'
    case $state in
    command) _describe command _rhosweep_commands ;;
    rest) _rhosweep_command ;;
    esac
}

# Loaded from a file of $fpath, or sourced.
if [[ $funcstack[1] == _rhosweep ]]; then
    _rhosweep "$@"
else
    compdef _rhosweep rhosweep
fi
