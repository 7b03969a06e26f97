"""The words and sentence patterns of the made-up conversations; `text` puts them together.

A template is plain text with one-letter slots: `$n` noun, `$a` adjective (`$N` and `$A` with an
article), `$v` verb, `$d` the verb as done, `$g` the verb as doing, `$b` adverb, `$i` an identifier
of the project, `$p` one of its paths, `$k` a number.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Grammar:
    """What one language brings. An empty `clauses` means that a sentence stands alone."""

    nouns: tuple[str, ...]
    verbs: tuple[str, ...]
    adjectives: tuple[str, ...]
    adverbs: tuple[str, ...]
    sentences: tuple[str, ...]
    prompts: tuple[str, ...]
    openers: tuple[str, ...]
    headings: tuple[str, ...]
    titles: tuple[str, ...]
    space: str = " "  # between sentences
    clauses: tuple[str, ...] = ()
    done: tuple[str, ...] = field(default=())
    doing: tuple[str, ...] = field(default=())


def lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.strip().splitlines())


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


NOUNS = words("""
    account adapter agent alert anchor archive argument array assertion attempt backlog backup
    badge balance banner barrier batch benchmark binary block border bottleneck boundary branch
    bridge browser bucket budget buffer bundle button cache callback canvas caption cascade catalog
    certificate channel checkout checksum chunk client cluster column command comment commit
    compiler component condition config connection connector constant container context contract
    controller cookie counter coupon cursor customer daemon dashboard database deadline decoder
    default dependency deployment descriptor device dialog digest directory discount document
    domain draft driver duplicate editor element encoder endpoint engine entity entry environment
    error estimate event exception executor expiry exporter expression factory failure fallback
    feature feed field figure filter fixture flag folder footer format formatter fragment frame
    function gateway generator glyph graph grid group guard handler handshake header heartbeat
    helper history hook hostname icon identity image import incident index input instance
    interface interval invoice iterator job journal kernel key label lambda latency layer layout
    leader ledger library license limit linter listener loader locale lock logger lookup loop
    machine manifest mapping margin marker matrix member memory menu merge message metric
    middleware migration minute mirror mock mode model module monitor mutex namespace network node
    notice notification number object observer offset operator option order output owner package
    page panel parameter parser partition password patch pattern payload payment permission
    pipeline pixel placeholder planner plugin pointer policy polygon pool port prefix preview
    process producer profile project prompt property protocol provider proxy query queue quota
    range rate reader receipt record redirect reducer reference region registry release renderer
    replica report request resolver resource response result retry review role rollback rollout
    route router rule runner sample scanner schedule scheduler schema scope screen script search
    secret segment selector sequence server service session setting shard shell shipment shutdown
    sidebar signal signature slot snapshot socket sorter source spinner stack stage statement
    status step stopwatch storage strategy stream string subscriber subsystem suffix summary
    switch symbol table tag target task template tenant terminal test theme thread threshold
    throttle ticket timeline timeout timer timestamp title toggle token toolbar tooltip topic trace
    tracker traffic transaction transform tree trigger tunnel type upload user validator value
    variable vector vendor version viewport volume wallet warning watcher webhook widget window
    worker workflow workspace wrapper writer zone
""")

VERBS = words("""
    accept add adjust allow append apply assert attach await block bound buffer build bypass cache
    call capture check clean clear close collapse collect compare compile complete compute
    connect consume convert count create decode delete deploy describe detach disable discard
    document download drain encode enforce enable escape evaluate exclude expand expect explain
    export expose extend extract fail fetch filter fix flatten flush fold follow force format
    generate group guard guess handle hash hide hoist ignore implement import inject inline
    inspect install invalidate invoke isolate join limit load lock log lower match measure merge
    migrate mock move narrow normalize open order pack parse pass patch pause pin preserve
    print prune publish purge push queue raise rebuild record redirect refactor refresh register
    reject release reload remove rename render reorder repeat replace report request reset resize
    resolve restart restore resume return reuse revert review rotate route sample sanitize save
    scale schedule search select separate serialize shorten shrink simplify skip sort start
    store stream switch test throttle track transform trigger trust tune unblock update upgrade
    upload use validate warn watch widen wire wrap yank
""")

ADJECTIVES = words("""
    absolute active ambiguous ancient atomic awkward bare basic blank brittle broken busy cheap
    clean clear cold common complete concrete conservative consistent corrupt correct critical
    current curious deep default deprecated deterministic different direct dirty distant duplicate
    dynamic early eager empty exact expensive experimental explicit external failing faint fast
    final fixed flaky fragile fresh full generic global green harmless hidden huge idempotent idle
    immutable implicit incomplete inconsistent incremental inner innocent internal invalid isolated
    large late lazy legacy literal local lonely long loose lossy minimal minor missing mutable
    naive narrow native nested noisy null obsolete obvious odd old opaque open optional original
    orphaned outer partial passing pending permanent plain portable positive precise pretty private
    public pure quiet random raw recent recursive redundant relative reliable remote repeated
    required reusable risky robust rough safe shallow sharp short silent similar simple single
    slow small smooth sparse special stable stale static strict subtle sudden suspicious
    synchronous temporary thin tidy tiny tricky trivial typed unbounded unexpected unique unknown
    unrelated unsafe unstable unused upstream useful valid vague verbose virtual visible weak wide
    wrong
""")

ADVERBS = words("""
    accidentally actually again almost already always apparently automatically barely briefly
    carefully cleanly clearly completely concurrently consistently correctly currently deliberately
    directly early eagerly easily elsewhere entirely eventually everywhere exactly explicitly
    finally first frequently fully gracefully immediately implicitly independently inside instead
    lazily locally mostly never noticeably occasionally often once only partially periodically
    possibly previously probably properly quickly quietly rarely recently reliably remotely
    repeatedly safely separately sequentially silently simply slowly sometimes somewhere soon still
    strictly suddenly surprisingly together twice twofold unexpectedly usually well
""")


def _done(verb: str) -> str:
    return verb + ("d" if verb.endswith("e") else "ed")


def _doing(verb: str) -> str:
    return f"{verb.removesuffix('e')}ing"


# Irregular forms and doubled consonants would need a table: the slots that bend leave them out.
_BENDS_BADLY = frozenset(words("apply build format hide log pin reset shrink simplify skip wrap"))
_REGULAR = tuple(verb for verb in VERBS if verb not in _BENDS_BADLY)

ENGLISH = Grammar(
    nouns=NOUNS,
    verbs=VERBS,
    adjectives=ADJECTIVES,
    adverbs=ADVERBS,
    done=tuple(map(_done, _REGULAR)),
    doing=tuple(map(_doing, _REGULAR)),
    sentences=lines("""
        The $a $n is $b $d by $i.
        The $n in $p does not $v the $a $n.
        I can see that $i $b depends on the $n of the $n.
        It looks like the $n was $d before the $n.
        We have to $v the $n before the $n can $v.
        $k of the $k $n checks pass now.
        The $a part is the $n: it is $d $b and nobody notices.
        There are $k callers of $i, and $k of them pass $A $n.
        Neither the $n nor the $n knows about the $a $n.
        Let me $v the $n and see whether the $n is still $a.
        So the $n is $a, which explains the $a $n in the $n.
        $i returns the $a $n, not the $n that the $n expects.
        That $n belongs in $p, next to the other $n code.
        Maybe $A $n would be enough here, since the $n is never $d.
        The simplest $n is to $v the $n inside $i.
        Nothing else in $p uses the $n.
        The $n test fails because the $n is $d twice.
        Both versions $v the $n, but only one of them is $a.
        When the $n is $a, $i falls back to the $a $n.
        Line $k of $p is where the $n gets $d.
        The user wants the $n to be $a without $g the $n.
        First the $n is $d, then the $n, and the $a $n comes last.
        I should not touch the $n: it is $d from $p.
        This only matters for $N with more than $k entries.
        The $n holds $A $n and a list of $n names.
        After $g the $n, the $n went from $k ms to $k ms.
        With the $a $n in place, the $n can be $d $b.
        Why is the $n $d here at all?
        If the $n is $a, we $v it; otherwise the $n decides.
        Someone has $b $d the $n, so the $n is $a now.
        The $n and the $n share one $a $n.
        I'll $v $i so that the $n stays $a.
        Next comes the $n: it must $v every $n exactly once.
        The docs say "$n", but the code says "$n".
        Two things are $a: the $n, and how $i can $v it.
        It is $b $a to $v $N while the $n is $d.
        My guess is $A $n between $i and $i.
        Now the $n has to $v the $a $n in $p too.
        The $n count is $k, one more than the $n allows.
        Let me look at how $p is $d by the $n.
        Removing the $n makes the $n $a again.
        Here $N should $v early instead of $g the $n.
        Every $n gets its own $n, $d $b.
        The type of $i is $a, so the $n has to $v it first.
        Version $k of the $n still $d the $n $b.
        That is $A $n, and I would rather not $v it.
        Before the change the $n took $k seconds; it takes $k now.
        The log shows $k $n errors, all of them from $i.
        One $n is $a: the $n that $p is $g.
        I wonder whether the $n is $d $b or by the $n.
        The $n lives in $p and is $d when the $n starts.
        To keep the $n $a, I pass the $n as an argument.
        This is the same $n as in $i, only $d $b.
        One failing $n must not $v the whole $n.
        The $n is $a on purpose, see the comment in $p.
        None of this is $d until the $n is $a.
        The $n now $d $A $n; the old $n is gone.
        What remains is the $n of the $a $n.
    """),
    clauses=lines("""
        because the $n is $a
        so the $n stays $a
        while the $n is $b $d
        and that is why $i was $d
        which is $a but $b $d
        unless the $n is $d first
        even if the $n has $k items
        as long as nobody $d the $n
        although $p says otherwise
        and the $n follows $b
        before the $n is $d
        since $i cannot $v $A $n
        instead of $g the $n
        just like the $n in $p
        without $g the $a $n
        which the $n $b ignores
        after the $n has been $d
        and nothing is $d twice
    """),
    prompts=lines("""
        can you $v the $n in $p? it should be $a
        the $n test is failing again, please find out why
        please $v $i so that the $n is no longer $d
        how does the $n work? I don't understand why it is $d $b
        let's $v the $a $n first, then the $n
        add $N for the $a case and $v the docs
        there is a bug: the $n shows $A $n when the $n is empty
        why do we $v the $n in $i at all?
        ok, now do the same for the $n
        yes, go ahead
        looks good, commit it please
        hmm, that broke the $n. can you revert the $n part and try $A $n?
        I get "$a $n" when I start the $n, what does that mean?
        write tests for $p, at least for the $n and the $n
        review the changes on this branch, I'm mostly concerned about the $n
        make the $n $a. Don't touch $p for now.
        the $n takes $k seconds, can we make it faster?
        what would it take to $v the $n without the $n?
        continue
        rename $i to something less $a
        don't $v it, just explain how the $n and the $n play together
        move the $n out of $p into its own module
        we need $A $n for the release on Friday, what is missing?
        the customer says the $n is $a since the last $n. ideas?
        I'd like $i to take the $n as a parameter instead of $g it
        no, the other $n. the one in $p
        run the $n and fix whatever is $a
        is there a reason that the $n is $a? if not, please $v it
        summarize what we did so far and what is left on the $n
        the CI is red on the $n step, see the log, and please keep the $n $a
    """),
    openers=lines("""
        I'll $v the $n.
        Let me look at the $n first.
        Now I understand the $n.
        Good, the $n is $a now.
        Let me check $p.
        That confirms it.
        Found it: $i.
        Now let me $v the $n.
        Let me run the tests.
        Next, the $n.
        There's one more $n to $v.
        Interesting, the $n is $a.
        ✅ The $n is $d.
        ⚠️ The $n is $a.
    """),
    headings=lines("""
        What changed
        Why it failed
        Root cause
        Next steps
        How it works
        The $n
        Open questions
        The $a $n
        Results
        Trade-offs
    """),
    titles=lines("""
        Fix the $a $n
        Make the $n $a
        $n and $n in the $n
        Move the $n out of the $n
        Debug $a $n failures
        Add $N to the $n
        Review the $n branch
        Speed up the $n
        Plan the $n migration
        Clean up $a $n code
    """),
)
