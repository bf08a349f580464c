/*
 * completion.c: weir completion: scripts by which shells complete weir's command line, made from
 * the verbs and options that --help is made from.
 */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

/* The first line of an option's help, without what would end a quoted text or means something to
 * the shell's completion. */
static void print_brief(const char *help, const char *without)
{
    for (const char *at = help; *at && *at != '\n'; at++)
        if (!strchr(without, *at))
            putchar(*at);
}

static void print_choices(const char *const *choices)
{
    for (size_t i = 0; choices && choices[i]; i++)
        printf("%s%s", i ? " " : "", choices[i]);
}

static void print_verbs(void)
{
    const char *gap = "";
    for (size_t i = 0; verbs[i]; i++)
        if (verbs[i]->summary) {
            printf("%s%s", gap, verbs[i]->name);
            gap = " ";
        }
}

/* `help` has verbs for operands. */
static void print_operand_choices(const struct verb *verb)
{
    if (verb == &verb_help)
        print_verbs();
    else
        print_choices(verb->operand_choices);
}

/* ---- bash ---- */

/* A pattern such as "serve,-l|serve,--listen". */
static void print_bash_pattern(const struct verb *verb, const struct option *o)
{
    if (o->letter)
        printf("%s,-%c | ", verb->name, o->letter);
    printf("%s,--%s", verb->name, o->name);
}

static void print_bash_generator(enum value_kind kind)
{
    if (kind == VALUE_FILE)
        fputs(" -f", stdout);
    else if (kind == VALUE_FOLDER)
        fputs(" -d", stdout);
}

static void print_bash_values(const struct verb *verb)
{
    for (size_t i = 0; i < verb->option_count; i++) {
        const struct option *o = &verb->options[i];
        if (!o->help || o->kind == VALUE_NONE)
            continue;
        fputs("    ", stdout);
        print_bash_pattern(verb, o);
        if (o->kind == VALUE_WORD) {
            fputs(") return ;;\n", stdout);
            continue;
        }
        fputs(") _weir_reply", stdout);
        print_bash_generator(o->kind);
        fputs(" -W '", stdout);
        print_choices(o->choices);
        fputs("'; return ;;\n", stdout);
    }
}

static void print_bash_options(const struct verb *verb)
{
    printf("    %s,-*) _weir_reply -W '", verb->name);
    for (size_t i = 0; i < verb->option_count; i++)
        if (verb->options[i].help)
            printf("--%s ", verb->options[i].name);
    fputs("--help' ;;\n", stdout);
    printf("    %s,*) _weir_reply", verb->name);
    print_bash_generator(verb->operand);
    fputs(" -W '", stdout);
    print_operand_choices(verb);
    fputs("' ;;\n", stdout);
}

static void print_bash(void)
{
    fputs("# Completes weir's command line in bash: eval \"$(weir completion bash)\"\n"
          "\n"
          "_weir_reply()\n"
          "{\n"
          "    [[ $1 == -W ]] || compopt -o filenames 2>/dev/null\n"
          "    mapfile -t COMPREPLY < <(compgen \"$@\" -- \"$cur\")\n"
          "}\n"
          "\n"
          "_weir()\n"
          "{\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
          "    local verb=${COMP_WORDS[1]}\n"
          "    # bash makes three words of --log-level=info.\n"
          "    [[ $cur != = ]] || cur=\n"
          "    [[ $before != = ]] || before=${COMP_WORDS[COMP_CWORD - 2]}\n"
          "    COMPREPLY=()\n"
          "    if ((COMP_CWORD == 1)); then\n"
          "        _weir_reply -W '",
        stdout);
    print_verbs();
    fputs(" --help --version'\n"
          "        return\n"
          "    fi\n"
          "    case $verb,$before in\n",
        stdout);
    for (size_t i = 0; verbs[i]; i++)
        print_bash_values(verbs[i]);
    fputs("    esac\n"
          "    case $verb,$cur in\n",
        stdout);
    for (size_t i = 0; verbs[i]; i++)
        if (verbs[i]->summary)
            print_bash_options(verbs[i]);
    fputs("    esac\n"
          "}\n"
          "\n"
          "complete -F _weir weir\n",
        stdout);
}

/* ---- zsh ---- */

#define ZSH_SPECIAL "'[]:\\"

static void print_zsh_value(
    enum value_kind kind, const char *name, const char *const *choices, const char *verb_name)
{
    printf(":%s:", name);
    if (kind == VALUE_FILE)
        fputs("_files", stdout);
    else if (kind == VALUE_FOLDER && !choices)
        fputs("_files -/", stdout);
    else if (kind == VALUE_FOLDER)
        printf("_weir_%s_operand", verb_name);
    else if (choices || kind == VALUE_CHOICE) {
        putchar('(');
        print_choices(choices);
        putchar(')');
    }
}

static void print_zsh_option(const struct verb *verb, const struct option *o)
{
    fputs("            ", stdout);
    if (o->letter)
        printf("'(-%c --%s)'{-%c,--%s%s}'", o->letter, o->name, o->letter, o->name,
            o->kind == VALUE_NONE ? "" : "=");
    else
        printf("'--%s%s", o->name, o->kind == VALUE_NONE ? "" : "=");
    putchar('[');
    print_brief(o->help, ZSH_SPECIAL);
    putchar(']');
    if (o->kind != VALUE_NONE)
        print_zsh_value(o->kind, o->value, o->choices, verb->name);
    fputs("' \\\n", stdout);
}

static void print_zsh_verb(const struct verb *verb)
{
    printf("    %s)\n        _arguments -s \\\n", verb->name);
    for (size_t i = 0; i < verb->option_count; i++)
        if (verb->options[i].help)
            print_zsh_option(verb, &verb->options[i]);
    fputs("            '(-h --help)'{-h,--help}'[print this help]'", stdout);
    if (verb == &verb_help) {
        fputs(" \\\n            ':verb:(", stdout);
        print_verbs();
        fputs(")'", stdout);
    } else if (verb->operand != VALUE_NONE) {
        fputs(" \\\n            '", stdout);
        print_zsh_value(verb->operand, "operand", verb->operand_choices, verb->name);
        putchar('\'');
    }
    fputs("\n        ;;\n", stdout);
}

static void print_zsh(void)
{
    fputs("#compdef weir\n"
          "# Completes weir's command line in zsh: a file _weir in a folder of $fpath.\n"
          "\n"
          "_weir_init_operand() {\n"
          "    _alternative 'kinds:kind:(",
        stdout);
    print_choices(verb_init.operand_choices);
    fputs(")' 'folders:folder:_files -/'\n"
          "}\n"
          "\n"
          "_weir() {\n"
          "    local -a verbs=(\n",
        stdout);
    for (size_t i = 0; verbs[i]; i++)
        if (verbs[i]->summary) {
            printf("        '%s:", verbs[i]->name);
            print_brief(verbs[i]->summary, ZSH_SPECIAL);
            fputs("'\n", stdout);
        }
    fputs("    )\n"
          "    if ((CURRENT == 2)); then\n"
          "        _describe verb verbs\n"
          "        return\n"
          "    fi\n"
          "    shift words\n"
          "    ((CURRENT--))\n"
          "    case $words[1] in\n",
        stdout);
    for (size_t i = 0; verbs[i]; i++)
        if (verbs[i]->summary)
            print_zsh_verb(verbs[i]);
    fputs("    esac\n"
          "}\n"
          "\n"
          "_weir \"$@\"\n",
        stdout);
}

/* ---- fish ---- */

#define FISH_SPECIAL "'\\"

static void print_fish_option(const struct verb *verb, const struct option *o)
{
    printf("complete -c weir -n '__fish_seen_subcommand_from %s'", verb->name);
    if (o->letter)
        printf(" -s %c", o->letter);
    printf(" -l %s", o->name);
    if (o->kind == VALUE_FILE)
        fputs(" -r -F", stdout);
    else if (o->kind != VALUE_NONE)
        fputs(" -x", stdout);
    if (o->choices) {
        fputs(" -a '", stdout);
        print_choices(o->choices);
        putchar('\'');
    }
    fputs(" -d '", stdout);
    print_brief(o->help, FISH_SPECIAL);
    fputs("'\n", stdout);
}

static void print_fish_operand(const struct verb *verb)
{
    if (verb->operand == VALUE_FILE)
        printf("complete -c weir -n '__fish_seen_subcommand_from %s' -F\n", verb->name);
    if (verb->operand == VALUE_FOLDER)
        printf("complete -c weir -n '__fish_seen_subcommand_from %s' -a "
               "'(__fish_complete_directories)'\n",
            verb->name);
    if (verb->operand_choices || verb == &verb_help) {
        printf("complete -c weir -n '__fish_seen_subcommand_from %s' -a '", verb->name);
        print_operand_choices(verb);
        fputs("'\n", stdout);
    }
}

static void print_fish(void)
{
    static const struct option help = {.letter = 'h', .name = "help", .help = "print this help"};
    fputs("# Completes weir's command line in fish: weir completion fish | source\n"
          "\n"
          "complete -c weir -f\n",
        stdout);
    for (size_t i = 0; verbs[i]; i++)
        if (verbs[i]->summary) {
            printf("complete -c weir -n __fish_use_subcommand -a %s -d '", verbs[i]->name);
            print_brief(verbs[i]->summary, FISH_SPECIAL);
            fputs("'\n", stdout);
        }
    for (size_t i = 0; verbs[i]; i++) {
        if (!verbs[i]->summary)
            continue;
        for (size_t j = 0; j < verbs[i]->option_count; j++)
            if (verbs[i]->options[j].help)
                print_fish_option(verbs[i], &verbs[i]->options[j]);
        print_fish_option(verbs[i], &help);
        print_fish_operand(verbs[i]);
    }
}

/* ---- The verb ---- */

static const char *const shells[] = {"bash", "zsh", "fish", NULL};

static int run(int argc, char **argv)
{
    static void (*const prints[])(void) = {print_bash, print_zsh, print_fish};
    const char *operands[1];
    int count = parse_arguments(&verb_completion, NULL, argc, argv, operands, 1);
    if (count < 0)
        return EXIT_STATUS_USAGE;
    if (count == 0)
        return complain(EXIT_STATUS_USAGE, "'completion' needs a shell: bash, zsh or fish");
    for (size_t i = 0; shells[i]; i++)
        if (strcmp(operands[0], shells[i]) == 0) {
            prints[i]();
            return EXIT_STATUS_OK;
        }
    return complain(EXIT_STATUS_USAGE,
        "there is no completion for '%s'; there is for bash, zsh and fish", operands[0]);
}

const struct verb verb_completion = {
    .name = "completion",
    .summary = "print a script that completes command lines",
    .usage = "bash|zsh|fish\n",
    .about =
        "Prints a script by which the shell completes weir's verbs, options and their values.\n"
        "'make install' and the package install it; to use it without them:\n"
        "\n"
        "    eval \"$(weir completion bash)\"          in ~/.bashrc\n"
        "    weir completion zsh > FOLDER/_weir      FOLDER being in $fpath\n"
        "    weir completion fish | source           in ~/.config/fish/config.fish\n",
    .operand = VALUE_CHOICE,
    .operand_choices = shells,
    .run = run,
};
