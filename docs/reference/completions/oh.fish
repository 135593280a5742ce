# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_oh_global_optspecs
    string join \n runtime= config= profile= set= output= color= v/verbose q/quiet h/help V/version
end

function __fish_oh_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_oh_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_oh_using_subcommand
    set -l cmd (__fish_oh_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c oh -n "__fish_oh_needs_command" -l runtime -d 'Where sandboxes run: docker, k8s or local' -r
complete -c oh -n "__fish_oh_needs_command" -l config -d 'Read this configuration file instead of the project\'s' -r -F
complete -c oh -n "__fish_oh_needs_command" -l profile -d 'Use this profile of the configuration' -r
complete -c oh -n "__fish_oh_needs_command" -l set -d 'Set an option of the configuration, like k8s.namespace=sandboxes; can be repeated' -r
complete -c oh -n "__fish_oh_needs_command" -l output -d 'How to print results' -r -f -a "human\t'For people'
json\t'One JSON document on standard output, and JSON lines on standard error'"
complete -c oh -n "__fish_oh_needs_command" -l color -d 'When to use colours: always, never, or auto for on a terminal' -r -f -a "auto\t'On a terminal'
always\t'Also into files and pipes'
never\t'Nowhere'"
complete -c oh -n "__fish_oh_needs_command" -s v -l verbose -d 'Say more: what is done on the side; twice: what the libraries log'
complete -c oh -n "__fish_oh_needs_command" -s q -l quiet -d 'Print results and errors only'
complete -c oh -n "__fish_oh_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c oh -n "__fish_oh_needs_command" -s V -l version -d 'Print version'
complete -c oh -n "__fish_oh_needs_command" -f -a "run" -d 'Run a command in a fresh sandbox, and remove the sandbox'
complete -c oh -n "__fish_oh_needs_command" -f -a "exec" -d 'Run a command in an existing sandbox, or go on with one that runs there'
complete -c oh -n "__fish_oh_needs_command" -f -a "shell" -d 'Open an interactive shell in an existing sandbox: the user\'s own as its /etc/passwd has it, else bash, else sh'
complete -c oh -n "__fish_oh_needs_command" -f -a "port-forward" -d 'Forward ports of this machine to ports in a sandbox, until Ctrl-C or until the sandbox is gone'
complete -c oh -n "__fish_oh_needs_command" -f -a "ps" -d 'List the commands of a sandbox: those that run, and those whose end nobody has fetched'
complete -c oh -n "__fish_oh_needs_command" -f -a "kill" -d 'End a command of a sandbox with all its children, or send it a signal'
complete -c oh -n "__fish_oh_needs_command" -f -a "pause" -d 'Stop everything in a sandbox until it is resumed'
complete -c oh -n "__fish_oh_needs_command" -f -a "resume" -d 'Let a paused sandbox go on'
complete -c oh -n "__fish_oh_needs_command" -f -a "cp" -d 'Copy a file or folder into a sandbox or out of it'
complete -c oh -n "__fish_oh_needs_command" -f -a "logs" -d 'Print the log of a sandbox: what its first process, the agent, has to say'
complete -c oh -n "__fish_oh_needs_command" -f -a "ls" -d 'List the sandboxes of the backend, whoever made them'
complete -c oh -n "__fish_oh_needs_command" -f -a "rm" -d 'Remove sandboxes: by name, those of a run, or those past their time; print the name of each'
complete -c oh -n "__fish_oh_needs_command" -f -a "gc" -d 'Remove what the backend keeps for sandboxes to come and none uses; print the name of each'
complete -c oh -n "__fish_oh_needs_command" -f -a "eval" -d 'Evaluate predictions for the instances of a dataset'
complete -c oh -n "__fish_oh_needs_command" -f -a "config" -d 'Look at the configuration, check it, or begin one'
complete -c oh -n "__fish_oh_needs_command" -f -a "completions" -d 'Print a script that lets a shell complete commands and options of `oh`'
complete -c oh -n "__fish_oh_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c oh -n "__fish_oh_using_subcommand run" -l image -d 'Image of the sandbox' -r
complete -c oh -n "__fish_oh_using_subcommand run" -s e -l env -d 'Set an environment variable of the sandbox; can be repeated' -r
complete -c oh -n "__fish_oh_using_subcommand run" -l name -d 'Name the sandbox; otherwise it gets a random name' -r
complete -c oh -n "__fish_oh_using_subcommand run" -l run-id -d 'Make the sandbox part of this run' -r
complete -c oh -n "__fish_oh_using_subcommand run" -l ttl -d 'The sandbox ends by itself after this time, like 30m or 2h' -r
complete -c oh -n "__fish_oh_using_subcommand run" -l user -d 'Run as this user, a name or a number' -r
complete -c oh -n "__fish_oh_using_subcommand run" -l mount -d 'Make a host file or folder appear in the sandbox; can be repeated' -r
complete -c oh -n "__fish_oh_using_subcommand run" -l entrypoint -d 'Also start what the image would start; with a value this command instead, its words separated by spaces. It goes on beside all others: `oh ps` lists it' -r
complete -c oh -n "__fish_oh_using_subcommand run" -l cleanup -d 'What becomes of the sandbox: always removed, never, or on_success, which keeps it when the command fails. Otherwise as `sandbox.cleanup` says' -r
complete -c oh -n "__fish_oh_using_subcommand run" -l cwd -d 'Run the command in this folder' -r -F
complete -c oh -n "__fish_oh_using_subcommand run" -l timeout -d 'Kill the command after this time, like 90s or 5m' -r
complete -c oh -n "__fish_oh_using_subcommand run" -l umask -d 'File mode creation mask of the command, in octal' -r
complete -c oh -n "__fish_oh_using_subcommand run" -l ulimit -d 'Limit a resource of the command, like nofile=1024:4096 or cpu=60; can be repeated' -r
complete -c oh -n "__fish_oh_using_subcommand run" -l runtime -d 'Where sandboxes run: docker, k8s or local' -r
complete -c oh -n "__fish_oh_using_subcommand run" -l config -d 'Read this configuration file instead of the project\'s' -r -F
complete -c oh -n "__fish_oh_using_subcommand run" -l profile -d 'Use this profile of the configuration' -r
complete -c oh -n "__fish_oh_using_subcommand run" -l set -d 'Set an option of the configuration, like k8s.namespace=sandboxes; can be repeated' -r
complete -c oh -n "__fish_oh_using_subcommand run" -l output -d 'How to print results' -r -f -a "human\t'For people'
json\t'One JSON document on standard output, and JSON lines on standard error'"
complete -c oh -n "__fish_oh_using_subcommand run" -l color -d 'When to use colours: always, never, or auto for on a terminal' -r -f -a "auto\t'On a terminal'
always\t'Also into files and pipes'
never\t'Nowhere'"
complete -c oh -n "__fish_oh_using_subcommand run" -l dry-run -d 'Show what would be created, as JSON, and touch nothing'
complete -c oh -n "__fish_oh_using_subcommand run" -l keep -d 'Leave the sandbox there, for `oh exec`, `oh cp` and in the end `oh rm`: --cleanup never'
complete -c oh -n "__fish_oh_using_subcommand run" -s i -l stdin -d 'Pass standard input on to the command'
complete -c oh -n "__fish_oh_using_subcommand run" -s t -l tty -d 'Give the command a terminal; with -i for interactive programs'
complete -c oh -n "__fish_oh_using_subcommand run" -s v -l verbose -d 'Say more: what is done on the side; twice: what the libraries log'
complete -c oh -n "__fish_oh_using_subcommand run" -s q -l quiet -d 'Print results and errors only'
complete -c oh -n "__fish_oh_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c oh -n "__fish_oh_using_subcommand exec" -s e -l env -d 'Set an environment variable of the command; can be repeated' -r
complete -c oh -n "__fish_oh_using_subcommand exec" -s u -l user -d 'Run as this user, or user:group, by name or number' -r
complete -c oh -n "__fish_oh_using_subcommand exec" -l attach -d 'Go on with this command instead, as `oh ps` names it; whoever had its streams loses them' -r
complete -c oh -n "__fish_oh_using_subcommand exec" -l stdout-from -d 'With --attach: so many bytes of standard output are known already' -r
complete -c oh -n "__fish_oh_using_subcommand exec" -l stderr-from -d 'With --attach: so many bytes of standard error are known already' -r
complete -c oh -n "__fish_oh_using_subcommand exec" -l cwd -d 'Run the command in this folder' -r -F
complete -c oh -n "__fish_oh_using_subcommand exec" -l timeout -d 'Kill the command after this time, like 90s or 5m' -r
complete -c oh -n "__fish_oh_using_subcommand exec" -l umask -d 'File mode creation mask of the command, in octal' -r
complete -c oh -n "__fish_oh_using_subcommand exec" -l ulimit -d 'Limit a resource of the command, like nofile=1024:4096 or cpu=60; can be repeated' -r
complete -c oh -n "__fish_oh_using_subcommand exec" -l runtime -d 'Where sandboxes run: docker, k8s or local' -r
complete -c oh -n "__fish_oh_using_subcommand exec" -l config -d 'Read this configuration file instead of the project\'s' -r -F
complete -c oh -n "__fish_oh_using_subcommand exec" -l profile -d 'Use this profile of the configuration' -r
complete -c oh -n "__fish_oh_using_subcommand exec" -l set -d 'Set an option of the configuration, like k8s.namespace=sandboxes; can be repeated' -r
complete -c oh -n "__fish_oh_using_subcommand exec" -l output -d 'How to print results' -r -f -a "human\t'For people'
json\t'One JSON document on standard output, and JSON lines on standard error'"
complete -c oh -n "__fish_oh_using_subcommand exec" -l color -d 'When to use colours: always, never, or auto for on a terminal' -r -f -a "auto\t'On a terminal'
always\t'Also into files and pipes'
never\t'Nowhere'"
complete -c oh -n "__fish_oh_using_subcommand exec" -s d -l detach -d 'Start the command, print its id and leave it running; the last MiB of each of its streams is kept'
complete -c oh -n "__fish_oh_using_subcommand exec" -s i -l stdin -d 'Pass standard input on to the command'
complete -c oh -n "__fish_oh_using_subcommand exec" -s t -l tty -d 'Give the command a terminal; with -i for interactive programs'
complete -c oh -n "__fish_oh_using_subcommand exec" -s v -l verbose -d 'Say more: what is done on the side; twice: what the libraries log'
complete -c oh -n "__fish_oh_using_subcommand exec" -s q -l quiet -d 'Print results and errors only'
complete -c oh -n "__fish_oh_using_subcommand exec" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c oh -n "__fish_oh_using_subcommand shell" -s u -l user -d 'Be this user, or user:group, by name or number' -r
complete -c oh -n "__fish_oh_using_subcommand shell" -l cwd -d 'Start in this folder' -r -F
complete -c oh -n "__fish_oh_using_subcommand shell" -l runtime -d 'Where sandboxes run: docker, k8s or local' -r
complete -c oh -n "__fish_oh_using_subcommand shell" -l config -d 'Read this configuration file instead of the project\'s' -r -F
complete -c oh -n "__fish_oh_using_subcommand shell" -l profile -d 'Use this profile of the configuration' -r
complete -c oh -n "__fish_oh_using_subcommand shell" -l set -d 'Set an option of the configuration, like k8s.namespace=sandboxes; can be repeated' -r
complete -c oh -n "__fish_oh_using_subcommand shell" -l output -d 'How to print results' -r -f -a "human\t'For people'
json\t'One JSON document on standard output, and JSON lines on standard error'"
complete -c oh -n "__fish_oh_using_subcommand shell" -l color -d 'When to use colours: always, never, or auto for on a terminal' -r -f -a "auto\t'On a terminal'
always\t'Also into files and pipes'
never\t'Nowhere'"
complete -c oh -n "__fish_oh_using_subcommand shell" -s v -l verbose -d 'Say more: what is done on the side; twice: what the libraries log'
complete -c oh -n "__fish_oh_using_subcommand shell" -s q -l quiet -d 'Print results and errors only'
complete -c oh -n "__fish_oh_using_subcommand shell" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c oh -n "__fish_oh_using_subcommand port-forward" -l address -d 'Listen on this address of this machine. Whoever can reach it can use the ports' -r
complete -c oh -n "__fish_oh_using_subcommand port-forward" -l runtime -d 'Where sandboxes run: docker, k8s or local' -r
complete -c oh -n "__fish_oh_using_subcommand port-forward" -l config -d 'Read this configuration file instead of the project\'s' -r -F
complete -c oh -n "__fish_oh_using_subcommand port-forward" -l profile -d 'Use this profile of the configuration' -r
complete -c oh -n "__fish_oh_using_subcommand port-forward" -l set -d 'Set an option of the configuration, like k8s.namespace=sandboxes; can be repeated' -r
complete -c oh -n "__fish_oh_using_subcommand port-forward" -l output -d 'How to print results' -r -f -a "human\t'For people'
json\t'One JSON document on standard output, and JSON lines on standard error'"
complete -c oh -n "__fish_oh_using_subcommand port-forward" -l color -d 'When to use colours: always, never, or auto for on a terminal' -r -f -a "auto\t'On a terminal'
always\t'Also into files and pipes'
never\t'Nowhere'"
complete -c oh -n "__fish_oh_using_subcommand port-forward" -s v -l verbose -d 'Say more: what is done on the side; twice: what the libraries log'
complete -c oh -n "__fish_oh_using_subcommand port-forward" -s q -l quiet -d 'Print results and errors only'
complete -c oh -n "__fish_oh_using_subcommand port-forward" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c oh -n "__fish_oh_using_subcommand ps" -l runtime -d 'Where sandboxes run: docker, k8s or local' -r
complete -c oh -n "__fish_oh_using_subcommand ps" -l config -d 'Read this configuration file instead of the project\'s' -r -F
complete -c oh -n "__fish_oh_using_subcommand ps" -l profile -d 'Use this profile of the configuration' -r
complete -c oh -n "__fish_oh_using_subcommand ps" -l set -d 'Set an option of the configuration, like k8s.namespace=sandboxes; can be repeated' -r
complete -c oh -n "__fish_oh_using_subcommand ps" -l output -d 'How to print results' -r -f -a "human\t'For people'
json\t'One JSON document on standard output, and JSON lines on standard error'"
complete -c oh -n "__fish_oh_using_subcommand ps" -l color -d 'When to use colours: always, never, or auto for on a terminal' -r -f -a "auto\t'On a terminal'
always\t'Also into files and pipes'
never\t'Nowhere'"
complete -c oh -n "__fish_oh_using_subcommand ps" -s v -l verbose -d 'Say more: what is done on the side; twice: what the libraries log'
complete -c oh -n "__fish_oh_using_subcommand ps" -s q -l quiet -d 'Print results and errors only'
complete -c oh -n "__fish_oh_using_subcommand ps" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c oh -n "__fish_oh_using_subcommand kill" -s s -l signal -d 'Only send this signal to the command\'s process group, a name or a number' -r
complete -c oh -n "__fish_oh_using_subcommand kill" -l runtime -d 'Where sandboxes run: docker, k8s or local' -r
complete -c oh -n "__fish_oh_using_subcommand kill" -l config -d 'Read this configuration file instead of the project\'s' -r -F
complete -c oh -n "__fish_oh_using_subcommand kill" -l profile -d 'Use this profile of the configuration' -r
complete -c oh -n "__fish_oh_using_subcommand kill" -l set -d 'Set an option of the configuration, like k8s.namespace=sandboxes; can be repeated' -r
complete -c oh -n "__fish_oh_using_subcommand kill" -l output -d 'How to print results' -r -f -a "human\t'For people'
json\t'One JSON document on standard output, and JSON lines on standard error'"
complete -c oh -n "__fish_oh_using_subcommand kill" -l color -d 'When to use colours: always, never, or auto for on a terminal' -r -f -a "auto\t'On a terminal'
always\t'Also into files and pipes'
never\t'Nowhere'"
complete -c oh -n "__fish_oh_using_subcommand kill" -s v -l verbose -d 'Say more: what is done on the side; twice: what the libraries log'
complete -c oh -n "__fish_oh_using_subcommand kill" -s q -l quiet -d 'Print results and errors only'
complete -c oh -n "__fish_oh_using_subcommand kill" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c oh -n "__fish_oh_using_subcommand pause" -l runtime -d 'Where sandboxes run: docker, k8s or local' -r
complete -c oh -n "__fish_oh_using_subcommand pause" -l config -d 'Read this configuration file instead of the project\'s' -r -F
complete -c oh -n "__fish_oh_using_subcommand pause" -l profile -d 'Use this profile of the configuration' -r
complete -c oh -n "__fish_oh_using_subcommand pause" -l set -d 'Set an option of the configuration, like k8s.namespace=sandboxes; can be repeated' -r
complete -c oh -n "__fish_oh_using_subcommand pause" -l output -d 'How to print results' -r -f -a "human\t'For people'
json\t'One JSON document on standard output, and JSON lines on standard error'"
complete -c oh -n "__fish_oh_using_subcommand pause" -l color -d 'When to use colours: always, never, or auto for on a terminal' -r -f -a "auto\t'On a terminal'
always\t'Also into files and pipes'
never\t'Nowhere'"
complete -c oh -n "__fish_oh_using_subcommand pause" -s v -l verbose -d 'Say more: what is done on the side; twice: what the libraries log'
complete -c oh -n "__fish_oh_using_subcommand pause" -s q -l quiet -d 'Print results and errors only'
complete -c oh -n "__fish_oh_using_subcommand pause" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c oh -n "__fish_oh_using_subcommand resume" -l runtime -d 'Where sandboxes run: docker, k8s or local' -r
complete -c oh -n "__fish_oh_using_subcommand resume" -l config -d 'Read this configuration file instead of the project\'s' -r -F
complete -c oh -n "__fish_oh_using_subcommand resume" -l profile -d 'Use this profile of the configuration' -r
complete -c oh -n "__fish_oh_using_subcommand resume" -l set -d 'Set an option of the configuration, like k8s.namespace=sandboxes; can be repeated' -r
complete -c oh -n "__fish_oh_using_subcommand resume" -l output -d 'How to print results' -r -f -a "human\t'For people'
json\t'One JSON document on standard output, and JSON lines on standard error'"
complete -c oh -n "__fish_oh_using_subcommand resume" -l color -d 'When to use colours: always, never, or auto for on a terminal' -r -f -a "auto\t'On a terminal'
always\t'Also into files and pipes'
never\t'Nowhere'"
complete -c oh -n "__fish_oh_using_subcommand resume" -s v -l verbose -d 'Say more: what is done on the side; twice: what the libraries log'
complete -c oh -n "__fish_oh_using_subcommand resume" -s q -l quiet -d 'Print results and errors only'
complete -c oh -n "__fish_oh_using_subcommand resume" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c oh -n "__fish_oh_using_subcommand cp" -l include -d 'Copy of a folder only what matches this pattern, like \'*.py\' or \'src/**\'; can be repeated' -r
complete -c oh -n "__fish_oh_using_subcommand cp" -s x -l exclude -d 'Leave out what matches this pattern, like .git or \'build/*\'; can be repeated' -r
complete -c oh -n "__fish_oh_using_subcommand cp" -l owner -d 'Whom the copy belongs to in the sandbox: user or user:group, by name or number' -r
complete -c oh -n "__fish_oh_using_subcommand cp" -l runtime -d 'Where sandboxes run: docker, k8s or local' -r
complete -c oh -n "__fish_oh_using_subcommand cp" -l config -d 'Read this configuration file instead of the project\'s' -r -F
complete -c oh -n "__fish_oh_using_subcommand cp" -l profile -d 'Use this profile of the configuration' -r
complete -c oh -n "__fish_oh_using_subcommand cp" -l set -d 'Set an option of the configuration, like k8s.namespace=sandboxes; can be repeated' -r
complete -c oh -n "__fish_oh_using_subcommand cp" -l output -d 'How to print results' -r -f -a "human\t'For people'
json\t'One JSON document on standard output, and JSON lines on standard error'"
complete -c oh -n "__fish_oh_using_subcommand cp" -l color -d 'When to use colours: always, never, or auto for on a terminal' -r -f -a "auto\t'On a terminal'
always\t'Also into files and pipes'
never\t'Nowhere'"
complete -c oh -n "__fish_oh_using_subcommand cp" -l same-owner -d 'Keep the numbers of users and groups'
complete -c oh -n "__fish_oh_using_subcommand cp" -s v -l verbose -d 'Say more: what is done on the side; twice: what the libraries log'
complete -c oh -n "__fish_oh_using_subcommand cp" -s q -l quiet -d 'Print results and errors only'
complete -c oh -n "__fish_oh_using_subcommand cp" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c oh -n "__fish_oh_using_subcommand logs" -l tail -d 'Only this many of the last lines' -r
complete -c oh -n "__fish_oh_using_subcommand logs" -l runtime -d 'Where sandboxes run: docker, k8s or local' -r
complete -c oh -n "__fish_oh_using_subcommand logs" -l config -d 'Read this configuration file instead of the project\'s' -r -F
complete -c oh -n "__fish_oh_using_subcommand logs" -l profile -d 'Use this profile of the configuration' -r
complete -c oh -n "__fish_oh_using_subcommand logs" -l set -d 'Set an option of the configuration, like k8s.namespace=sandboxes; can be repeated' -r
complete -c oh -n "__fish_oh_using_subcommand logs" -l output -d 'How to print results' -r -f -a "human\t'For people'
json\t'One JSON document on standard output, and JSON lines on standard error'"
complete -c oh -n "__fish_oh_using_subcommand logs" -l color -d 'When to use colours: always, never, or auto for on a terminal' -r -f -a "auto\t'On a terminal'
always\t'Also into files and pipes'
never\t'Nowhere'"
complete -c oh -n "__fish_oh_using_subcommand logs" -s f -l follow -d 'Go on with new lines until the sandbox ends'
complete -c oh -n "__fish_oh_using_subcommand logs" -s v -l verbose -d 'Say more: what is done on the side; twice: what the libraries log'
complete -c oh -n "__fish_oh_using_subcommand logs" -s q -l quiet -d 'Print results and errors only'
complete -c oh -n "__fish_oh_using_subcommand logs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c oh -n "__fish_oh_using_subcommand ls" -l run-id -d 'Only those of this run' -r
complete -c oh -n "__fish_oh_using_subcommand ls" -l runtime -d 'Where sandboxes run: docker, k8s or local' -r
complete -c oh -n "__fish_oh_using_subcommand ls" -l config -d 'Read this configuration file instead of the project\'s' -r -F
complete -c oh -n "__fish_oh_using_subcommand ls" -l profile -d 'Use this profile of the configuration' -r
complete -c oh -n "__fish_oh_using_subcommand ls" -l set -d 'Set an option of the configuration, like k8s.namespace=sandboxes; can be repeated' -r
complete -c oh -n "__fish_oh_using_subcommand ls" -l output -d 'How to print results' -r -f -a "human\t'For people'
json\t'One JSON document on standard output, and JSON lines on standard error'"
complete -c oh -n "__fish_oh_using_subcommand ls" -l color -d 'When to use colours: always, never, or auto for on a terminal' -r -f -a "auto\t'On a terminal'
always\t'Also into files and pipes'
never\t'Nowhere'"
complete -c oh -n "__fish_oh_using_subcommand ls" -l mine -d 'Only those made by this owner: the one the configuration names'
complete -c oh -n "__fish_oh_using_subcommand ls" -s v -l verbose -d 'Say more: what is done on the side; twice: what the libraries log'
complete -c oh -n "__fish_oh_using_subcommand ls" -s q -l quiet -d 'Print results and errors only'
complete -c oh -n "__fish_oh_using_subcommand ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c oh -n "__fish_oh_using_subcommand rm" -l run-id -d 'All of this run' -r
complete -c oh -n "__fish_oh_using_subcommand rm" -l runtime -d 'Where sandboxes run: docker, k8s or local' -r
complete -c oh -n "__fish_oh_using_subcommand rm" -l config -d 'Read this configuration file instead of the project\'s' -r -F
complete -c oh -n "__fish_oh_using_subcommand rm" -l profile -d 'Use this profile of the configuration' -r
complete -c oh -n "__fish_oh_using_subcommand rm" -l set -d 'Set an option of the configuration, like k8s.namespace=sandboxes; can be repeated' -r
complete -c oh -n "__fish_oh_using_subcommand rm" -l output -d 'How to print results' -r -f -a "human\t'For people'
json\t'One JSON document on standard output, and JSON lines on standard error'"
complete -c oh -n "__fish_oh_using_subcommand rm" -l color -d 'When to use colours: always, never, or auto for on a terminal' -r -f -a "auto\t'On a terminal'
always\t'Also into files and pipes'
never\t'Nowhere'"
complete -c oh -n "__fish_oh_using_subcommand rm" -l expired -d 'All that are past their time'
complete -c oh -n "__fish_oh_using_subcommand rm" -s v -l verbose -d 'Say more: what is done on the side; twice: what the libraries log'
complete -c oh -n "__fish_oh_using_subcommand rm" -s q -l quiet -d 'Print results and errors only'
complete -c oh -n "__fish_oh_using_subcommand rm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c oh -n "__fish_oh_using_subcommand gc" -l runtime -d 'Where sandboxes run: docker, k8s or local' -r
complete -c oh -n "__fish_oh_using_subcommand gc" -l config -d 'Read this configuration file instead of the project\'s' -r -F
complete -c oh -n "__fish_oh_using_subcommand gc" -l profile -d 'Use this profile of the configuration' -r
complete -c oh -n "__fish_oh_using_subcommand gc" -l set -d 'Set an option of the configuration, like k8s.namespace=sandboxes; can be repeated' -r
complete -c oh -n "__fish_oh_using_subcommand gc" -l output -d 'How to print results' -r -f -a "human\t'For people'
json\t'One JSON document on standard output, and JSON lines on standard error'"
complete -c oh -n "__fish_oh_using_subcommand gc" -l color -d 'When to use colours: always, never, or auto for on a terminal' -r -f -a "auto\t'On a terminal'
always\t'Also into files and pipes'
never\t'Nowhere'"
complete -c oh -n "__fish_oh_using_subcommand gc" -l agents -d 'Agents that no sandbox uses'
complete -c oh -n "__fish_oh_using_subcommand gc" -l dry-run -d 'Only say what would be removed'
complete -c oh -n "__fish_oh_using_subcommand gc" -s v -l verbose -d 'Say more: what is done on the side; twice: what the libraries log'
complete -c oh -n "__fish_oh_using_subcommand gc" -s q -l quiet -d 'Print results and errors only'
complete -c oh -n "__fish_oh_using_subcommand gc" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c oh -n "__fish_oh_using_subcommand eval; and not __fish_seen_subcommand_from run help" -l runtime -d 'Where sandboxes run: docker, k8s or local' -r
complete -c oh -n "__fish_oh_using_subcommand eval; and not __fish_seen_subcommand_from run help" -l config -d 'Read this configuration file instead of the project\'s' -r -F
complete -c oh -n "__fish_oh_using_subcommand eval; and not __fish_seen_subcommand_from run help" -l profile -d 'Use this profile of the configuration' -r
complete -c oh -n "__fish_oh_using_subcommand eval; and not __fish_seen_subcommand_from run help" -l set -d 'Set an option of the configuration, like k8s.namespace=sandboxes; can be repeated' -r
complete -c oh -n "__fish_oh_using_subcommand eval; and not __fish_seen_subcommand_from run help" -l output -d 'How to print results' -r -f -a "human\t'For people'
json\t'One JSON document on standard output, and JSON lines on standard error'"
complete -c oh -n "__fish_oh_using_subcommand eval; and not __fish_seen_subcommand_from run help" -l color -d 'When to use colours: always, never, or auto for on a terminal' -r -f -a "auto\t'On a terminal'
always\t'Also into files and pipes'
never\t'Nowhere'"
complete -c oh -n "__fish_oh_using_subcommand eval; and not __fish_seen_subcommand_from run help" -s v -l verbose -d 'Say more: what is done on the side; twice: what the libraries log'
complete -c oh -n "__fish_oh_using_subcommand eval; and not __fish_seen_subcommand_from run help" -s q -l quiet -d 'Print results and errors only'
complete -c oh -n "__fish_oh_using_subcommand eval; and not __fish_seen_subcommand_from run help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c oh -n "__fish_oh_using_subcommand eval; and not __fish_seen_subcommand_from run help" -f -a "run" -d 'Run the tests of each instance with its prediction applied, and grade them'
complete -c oh -n "__fish_oh_using_subcommand eval; and not __fish_seen_subcommand_from run help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c oh -n "__fish_oh_using_subcommand eval; and __fish_seen_subcommand_from run" -l dataset -d 'Instances: SWE-bench rows as .jsonl or .json' -r -F
complete -c oh -n "__fish_oh_using_subcommand eval; and __fish_seen_subcommand_from run" -l predictions -d 'Predictions: a file, `gold` for the solutions of the dataset, or `empty`' -r
complete -c oh -n "__fish_oh_using_subcommand eval; and __fish_seen_subcommand_from run" -l run-id -d 'Name of the run, for its sandboxes and its folder' -r
complete -c oh -n "__fish_oh_using_subcommand eval; and __fish_seen_subcommand_from run" -l workers -d 'How many instances run at the same time' -r
complete -c oh -n "__fish_oh_using_subcommand eval; and __fish_seen_subcommand_from run" -l out -d 'Folder for logs and reports' -r -F
complete -c oh -n "__fish_oh_using_subcommand eval; and __fish_seen_subcommand_from run" -l instance-ids -d 'Only these instances' -r
complete -c oh -n "__fish_oh_using_subcommand eval; and __fish_seen_subcommand_from run" -l timeout -d 'Longest time for the tests of one instance, like 30m' -r
complete -c oh -n "__fish_oh_using_subcommand eval; and __fish_seen_subcommand_from run" -l cleanup -d 'What becomes of each sandbox: always removed, never, or on_success, which keeps those of instances without a result. Otherwise as `sandbox.cleanup` says' -r
complete -c oh -n "__fish_oh_using_subcommand eval; and __fish_seen_subcommand_from run" -l runtime -d 'Where sandboxes run: docker, k8s or local' -r
complete -c oh -n "__fish_oh_using_subcommand eval; and __fish_seen_subcommand_from run" -l config -d 'Read this configuration file instead of the project\'s' -r -F
complete -c oh -n "__fish_oh_using_subcommand eval; and __fish_seen_subcommand_from run" -l profile -d 'Use this profile of the configuration' -r
complete -c oh -n "__fish_oh_using_subcommand eval; and __fish_seen_subcommand_from run" -l set -d 'Set an option of the configuration, like k8s.namespace=sandboxes; can be repeated' -r
complete -c oh -n "__fish_oh_using_subcommand eval; and __fish_seen_subcommand_from run" -l output -d 'How to print results' -r -f -a "human\t'For people'
json\t'One JSON document on standard output, and JSON lines on standard error'"
complete -c oh -n "__fish_oh_using_subcommand eval; and __fish_seen_subcommand_from run" -l color -d 'When to use colours: always, never, or auto for on a terminal' -r -f -a "auto\t'On a terminal'
always\t'Also into files and pipes'
never\t'Nowhere'"
complete -c oh -n "__fish_oh_using_subcommand eval; and __fish_seen_subcommand_from run" -s v -l verbose -d 'Say more: what is done on the side; twice: what the libraries log'
complete -c oh -n "__fish_oh_using_subcommand eval; and __fish_seen_subcommand_from run" -s q -l quiet -d 'Print results and errors only'
complete -c oh -n "__fish_oh_using_subcommand eval; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c oh -n "__fish_oh_using_subcommand eval; and __fish_seen_subcommand_from help" -f -a "run" -d 'Run the tests of each instance with its prediction applied, and grade them'
complete -c oh -n "__fish_oh_using_subcommand eval; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c oh -n "__fish_oh_using_subcommand config; and not __fish_seen_subcommand_from show explain check init schema help" -l runtime -d 'Where sandboxes run: docker, k8s or local' -r
complete -c oh -n "__fish_oh_using_subcommand config; and not __fish_seen_subcommand_from show explain check init schema help" -l config -d 'Read this configuration file instead of the project\'s' -r -F
complete -c oh -n "__fish_oh_using_subcommand config; and not __fish_seen_subcommand_from show explain check init schema help" -l profile -d 'Use this profile of the configuration' -r
complete -c oh -n "__fish_oh_using_subcommand config; and not __fish_seen_subcommand_from show explain check init schema help" -l set -d 'Set an option of the configuration, like k8s.namespace=sandboxes; can be repeated' -r
complete -c oh -n "__fish_oh_using_subcommand config; and not __fish_seen_subcommand_from show explain check init schema help" -l output -d 'How to print results' -r -f -a "human\t'For people'
json\t'One JSON document on standard output, and JSON lines on standard error'"
complete -c oh -n "__fish_oh_using_subcommand config; and not __fish_seen_subcommand_from show explain check init schema help" -l color -d 'When to use colours: always, never, or auto for on a terminal' -r -f -a "auto\t'On a terminal'
always\t'Also into files and pipes'
never\t'Nowhere'"
complete -c oh -n "__fish_oh_using_subcommand config; and not __fish_seen_subcommand_from show explain check init schema help" -s v -l verbose -d 'Say more: what is done on the side; twice: what the libraries log'
complete -c oh -n "__fish_oh_using_subcommand config; and not __fish_seen_subcommand_from show explain check init schema help" -s q -l quiet -d 'Print results and errors only'
complete -c oh -n "__fish_oh_using_subcommand config; and not __fish_seen_subcommand_from show explain check init schema help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c oh -n "__fish_oh_using_subcommand config; and not __fish_seen_subcommand_from show explain check init schema help" -f -a "show" -d 'Print every option that has a value, and where it came from'
complete -c oh -n "__fish_oh_using_subcommand config; and not __fish_seen_subcommand_from show explain check init schema help" -f -a "explain" -d 'Print all about one option: its value, where that came from, every place that has one, and what it means'
complete -c oh -n "__fish_oh_using_subcommand config; and not __fish_seen_subcommand_from show explain check init schema help" -f -a "check" -d 'Say all that is wrong with a configuration file, or with the configuration that holds here'
complete -c oh -n "__fish_oh_using_subcommand config; and not __fish_seen_subcommand_from show explain check init schema help" -f -a "init" -d 'Write a commented file to begin with'
complete -c oh -n "__fish_oh_using_subcommand config; and not __fish_seen_subcommand_from show explain check init schema help" -f -a "schema" -d 'Print the JSON Schema of configuration files, for editors'
complete -c oh -n "__fish_oh_using_subcommand config; and not __fish_seen_subcommand_from show explain check init schema help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from show" -l runtime -d 'Where sandboxes run: docker, k8s or local' -r
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from show" -l config -d 'Read this configuration file instead of the project\'s' -r -F
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from show" -l profile -d 'Use this profile of the configuration' -r
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from show" -l set -d 'Set an option of the configuration, like k8s.namespace=sandboxes; can be repeated' -r
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from show" -l output -d 'How to print results' -r -f -a "human\t'For people'
json\t'One JSON document on standard output, and JSON lines on standard error'"
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from show" -l color -d 'When to use colours: always, never, or auto for on a terminal' -r -f -a "auto\t'On a terminal'
always\t'Also into files and pipes'
never\t'Nowhere'"
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more: what is done on the side; twice: what the libraries log'
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Print results and errors only'
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from explain" -l runtime -d 'Where sandboxes run: docker, k8s or local' -r
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from explain" -l config -d 'Read this configuration file instead of the project\'s' -r -F
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from explain" -l profile -d 'Use this profile of the configuration' -r
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from explain" -l set -d 'Set an option of the configuration, like k8s.namespace=sandboxes; can be repeated' -r
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from explain" -l output -d 'How to print results' -r -f -a "human\t'For people'
json\t'One JSON document on standard output, and JSON lines on standard error'"
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from explain" -l color -d 'When to use colours: always, never, or auto for on a terminal' -r -f -a "auto\t'On a terminal'
always\t'Also into files and pipes'
never\t'Nowhere'"
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from explain" -s v -l verbose -d 'Say more: what is done on the side; twice: what the libraries log'
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from explain" -s q -l quiet -d 'Print results and errors only'
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from check" -l runtime -d 'Where sandboxes run: docker, k8s or local' -r
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from check" -l config -d 'Read this configuration file instead of the project\'s' -r -F
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from check" -l profile -d 'Use this profile of the configuration' -r
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from check" -l set -d 'Set an option of the configuration, like k8s.namespace=sandboxes; can be repeated' -r
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from check" -l output -d 'How to print results' -r -f -a "human\t'For people'
json\t'One JSON document on standard output, and JSON lines on standard error'"
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from check" -l color -d 'When to use colours: always, never, or auto for on a terminal' -r -f -a "auto\t'On a terminal'
always\t'Also into files and pipes'
never\t'Nowhere'"
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from check" -s v -l verbose -d 'Say more: what is done on the side; twice: what the libraries log'
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from check" -s q -l quiet -d 'Print results and errors only'
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from init" -l file -d 'What to write, which must not be there yet; `-` is standard output' -r -F
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from init" -l runtime -d 'Where sandboxes run: docker, k8s or local' -r
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from init" -l config -d 'Read this configuration file instead of the project\'s' -r -F
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from init" -l profile -d 'Use this profile of the configuration' -r
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from init" -l set -d 'Set an option of the configuration, like k8s.namespace=sandboxes; can be repeated' -r
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from init" -l output -d 'How to print results' -r -f -a "human\t'For people'
json\t'One JSON document on standard output, and JSON lines on standard error'"
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from init" -l color -d 'When to use colours: always, never, or auto for on a terminal' -r -f -a "auto\t'On a terminal'
always\t'Also into files and pipes'
never\t'Nowhere'"
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from init" -s v -l verbose -d 'Say more: what is done on the side; twice: what the libraries log'
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from init" -s q -l quiet -d 'Print results and errors only'
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from schema" -l runtime -d 'Where sandboxes run: docker, k8s or local' -r
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from schema" -l config -d 'Read this configuration file instead of the project\'s' -r -F
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from schema" -l profile -d 'Use this profile of the configuration' -r
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from schema" -l set -d 'Set an option of the configuration, like k8s.namespace=sandboxes; can be repeated' -r
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from schema" -l output -d 'How to print results' -r -f -a "human\t'For people'
json\t'One JSON document on standard output, and JSON lines on standard error'"
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from schema" -l color -d 'When to use colours: always, never, or auto for on a terminal' -r -f -a "auto\t'On a terminal'
always\t'Also into files and pipes'
never\t'Nowhere'"
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from schema" -s v -l verbose -d 'Say more: what is done on the side; twice: what the libraries log'
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from schema" -s q -l quiet -d 'Print results and errors only'
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from schema" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "show" -d 'Print every option that has a value, and where it came from'
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "explain" -d 'Print all about one option: its value, where that came from, every place that has one, and what it means'
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "check" -d 'Say all that is wrong with a configuration file, or with the configuration that holds here'
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "init" -d 'Write a commented file to begin with'
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "schema" -d 'Print the JSON Schema of configuration files, for editors'
complete -c oh -n "__fish_oh_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c oh -n "__fish_oh_using_subcommand completions" -l runtime -d 'Where sandboxes run: docker, k8s or local' -r
complete -c oh -n "__fish_oh_using_subcommand completions" -l config -d 'Read this configuration file instead of the project\'s' -r -F
complete -c oh -n "__fish_oh_using_subcommand completions" -l profile -d 'Use this profile of the configuration' -r
complete -c oh -n "__fish_oh_using_subcommand completions" -l set -d 'Set an option of the configuration, like k8s.namespace=sandboxes; can be repeated' -r
complete -c oh -n "__fish_oh_using_subcommand completions" -l output -d 'How to print results' -r -f -a "human\t'For people'
json\t'One JSON document on standard output, and JSON lines on standard error'"
complete -c oh -n "__fish_oh_using_subcommand completions" -l color -d 'When to use colours: always, never, or auto for on a terminal' -r -f -a "auto\t'On a terminal'
always\t'Also into files and pipes'
never\t'Nowhere'"
complete -c oh -n "__fish_oh_using_subcommand completions" -s v -l verbose -d 'Say more: what is done on the side; twice: what the libraries log'
complete -c oh -n "__fish_oh_using_subcommand completions" -s q -l quiet -d 'Print results and errors only'
complete -c oh -n "__fish_oh_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c oh -n "__fish_oh_using_subcommand help; and not __fish_seen_subcommand_from run exec shell port-forward ps kill pause resume cp logs ls rm gc eval config completions help" -f -a "run" -d 'Run a command in a fresh sandbox, and remove the sandbox'
complete -c oh -n "__fish_oh_using_subcommand help; and not __fish_seen_subcommand_from run exec shell port-forward ps kill pause resume cp logs ls rm gc eval config completions help" -f -a "exec" -d 'Run a command in an existing sandbox, or go on with one that runs there'
complete -c oh -n "__fish_oh_using_subcommand help; and not __fish_seen_subcommand_from run exec shell port-forward ps kill pause resume cp logs ls rm gc eval config completions help" -f -a "shell" -d 'Open an interactive shell in an existing sandbox: the user\'s own as its /etc/passwd has it, else bash, else sh'
complete -c oh -n "__fish_oh_using_subcommand help; and not __fish_seen_subcommand_from run exec shell port-forward ps kill pause resume cp logs ls rm gc eval config completions help" -f -a "port-forward" -d 'Forward ports of this machine to ports in a sandbox, until Ctrl-C or until the sandbox is gone'
complete -c oh -n "__fish_oh_using_subcommand help; and not __fish_seen_subcommand_from run exec shell port-forward ps kill pause resume cp logs ls rm gc eval config completions help" -f -a "ps" -d 'List the commands of a sandbox: those that run, and those whose end nobody has fetched'
complete -c oh -n "__fish_oh_using_subcommand help; and not __fish_seen_subcommand_from run exec shell port-forward ps kill pause resume cp logs ls rm gc eval config completions help" -f -a "kill" -d 'End a command of a sandbox with all its children, or send it a signal'
complete -c oh -n "__fish_oh_using_subcommand help; and not __fish_seen_subcommand_from run exec shell port-forward ps kill pause resume cp logs ls rm gc eval config completions help" -f -a "pause" -d 'Stop everything in a sandbox until it is resumed'
complete -c oh -n "__fish_oh_using_subcommand help; and not __fish_seen_subcommand_from run exec shell port-forward ps kill pause resume cp logs ls rm gc eval config completions help" -f -a "resume" -d 'Let a paused sandbox go on'
complete -c oh -n "__fish_oh_using_subcommand help; and not __fish_seen_subcommand_from run exec shell port-forward ps kill pause resume cp logs ls rm gc eval config completions help" -f -a "cp" -d 'Copy a file or folder into a sandbox or out of it'
complete -c oh -n "__fish_oh_using_subcommand help; and not __fish_seen_subcommand_from run exec shell port-forward ps kill pause resume cp logs ls rm gc eval config completions help" -f -a "logs" -d 'Print the log of a sandbox: what its first process, the agent, has to say'
complete -c oh -n "__fish_oh_using_subcommand help; and not __fish_seen_subcommand_from run exec shell port-forward ps kill pause resume cp logs ls rm gc eval config completions help" -f -a "ls" -d 'List the sandboxes of the backend, whoever made them'
complete -c oh -n "__fish_oh_using_subcommand help; and not __fish_seen_subcommand_from run exec shell port-forward ps kill pause resume cp logs ls rm gc eval config completions help" -f -a "rm" -d 'Remove sandboxes: by name, those of a run, or those past their time; print the name of each'
complete -c oh -n "__fish_oh_using_subcommand help; and not __fish_seen_subcommand_from run exec shell port-forward ps kill pause resume cp logs ls rm gc eval config completions help" -f -a "gc" -d 'Remove what the backend keeps for sandboxes to come and none uses; print the name of each'
complete -c oh -n "__fish_oh_using_subcommand help; and not __fish_seen_subcommand_from run exec shell port-forward ps kill pause resume cp logs ls rm gc eval config completions help" -f -a "eval" -d 'Evaluate predictions for the instances of a dataset'
complete -c oh -n "__fish_oh_using_subcommand help; and not __fish_seen_subcommand_from run exec shell port-forward ps kill pause resume cp logs ls rm gc eval config completions help" -f -a "config" -d 'Look at the configuration, check it, or begin one'
complete -c oh -n "__fish_oh_using_subcommand help; and not __fish_seen_subcommand_from run exec shell port-forward ps kill pause resume cp logs ls rm gc eval config completions help" -f -a "completions" -d 'Print a script that lets a shell complete commands and options of `oh`'
complete -c oh -n "__fish_oh_using_subcommand help; and not __fish_seen_subcommand_from run exec shell port-forward ps kill pause resume cp logs ls rm gc eval config completions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c oh -n "__fish_oh_using_subcommand help; and __fish_seen_subcommand_from eval" -f -a "run" -d 'Run the tests of each instance with its prediction applied, and grade them'
complete -c oh -n "__fish_oh_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "show" -d 'Print every option that has a value, and where it came from'
complete -c oh -n "__fish_oh_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "explain" -d 'Print all about one option: its value, where that came from, every place that has one, and what it means'
complete -c oh -n "__fish_oh_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "check" -d 'Say all that is wrong with a configuration file, or with the configuration that holds here'
complete -c oh -n "__fish_oh_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "init" -d 'Write a commented file to begin with'
complete -c oh -n "__fish_oh_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "schema" -d 'Print the JSON Schema of configuration files, for editors'
