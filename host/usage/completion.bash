# Words that begin with what is typed; of a list, with what is typed behind its last comma.
_rhosweep_words() {
    local kind=$1 before='' word
    shift
    [[ $kind == list && $current == *,* ]] && before=${current%,*},
    for word; do
        [[ $before$word == "$current"* ]] && COMPREPLY+=("$before$word")
    done
    # A list may go on, and a word that ends in a colon does.
    [[ $kind == list || ${COMPREPLY[*]} == *: ]] && compopt -o nospace
}

_rhosweep_files() {
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
    compopt -o filenames
}

# Completes `current`, which is the value of an option or the n-th argument.
_rhosweep_complete_value() {
    local -a value
    read -ra value < <(_rhosweep_value "$1" "$2")
    case ${value[0]} in
    list | word) _rhosweep_words "${value[@]}" ;;
    file) _rhosweep_files ;;
    esac
    # What stands before a colon is a word of its own to bash.
    if [[ $COMP_WORDBREAKS == *:* && $current == *:* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${current%"${current##*:}"}"}")
    fi
}

_rhosweep() {
    local -a typed=() options
    local word current command option='' glue='' n=1
    COMPREPLY=()
    # Bash parts words at = and :, so they are put together again.
    for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
        if [[ ${#typed[@]} -gt 0 && ($glue || $word == [=:]*) ]]; then
            typed[-1]+=$word
        else
            typed+=("$word")
        fi
        [[ $word == *[=:] ]] && glue=yes || glue=''
    done
    current=${typed[-1]}
    command=${typed[0]}
    if [[ ${#typed[@]} -eq 1 && $current != -* ]]; then
        _rhosweep_words word "${_rhosweep_commands[@]}"
        return
    fi
    if [[ $command == help ]]; then
        case ${#typed[@]},${typed[1]} in
        2,*) _rhosweep_words word "${_rhosweep_commands[@]}" ;;
        3,table) _rhosweep_complete_value table 1 ;;
        esac
        return
    fi
    for word in "${typed[@]:1:${#typed[@]}-2}"; do
        if [[ $option ]]; then
            option='' # this is its value
        elif [[ $word == -?* ]]; then
            [[ $(_rhosweep_value "$command" "$word") ]] && option=$word
        else
            ((++n))
        fi
    done
    if [[ $option ]]; then
        _rhosweep_complete_value "$command" "$option"
    elif [[ $current == --*=* ]]; then
        option=${current%%=*}
        current=${current#*=}
        _rhosweep_complete_value "$command" "$option"
    elif [[ $current == -* ]]; then
        read -ra options < <(_rhosweep_options "$command")
        _rhosweep_words word "${options[@]}"
    else
        _rhosweep_complete_value "$command" "$n"
    fi
}

complete -F _rhosweep rhosweep
