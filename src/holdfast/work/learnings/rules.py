"""What makes a sentence a learning. English only.

Each rule is about one way in which people, or agents, say that something is settled, wanted, wrong
or so. A rule looks at one sentence, knows who said it, and stays silent when in doubt: what it
misses is still in the journal and found by a search, but a list with nonsense in it is not read
twice. The confidence of a rule is an estimate from the little that was measured: it orders
findings, and is no share of anything (docs/learnings.md).
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

from holdfast.work.learnings.model import LearningType
from holdfast.work.learnings.said import Sentence, word_count

Speaker = Literal["user", "assistant"]


class Rule(NamedTuple):
    name: str
    type: LearningType
    by: Speaker
    says: re.Pattern[str]
    unless: re.Pattern[str] | None
    confidence: float
    words_min: int

    def fits(self, sentence: Sentence) -> bool:
        if sentence.introduces and self.type == "pattern":
            return False
        if sentence.asks or word_count(sentence.text) < self.words_min:
            return False
        if not self.says.search(sentence.text) or is_unsure(sentence.text):
            return False
        return not (self.unless and self.unless.search(sentence.text))


def _rule(  # what a rule is
    name: str,
    kind: LearningType,
    by: Speaker,
    says: str,
    confidence: float,
    *,
    unless: str = "",
    words_min: int = 4,
) -> Rule:
    doubt = re.compile(unless, re.IGNORECASE) if unless else None
    return Rule(name, kind, by, re.compile(says, re.IGNORECASE), doubt, confidence, words_min)


# What is only thought of, or quoted from a wish for help, settles nothing.
_UNSURE: Final = re.compile(
    r"\b(?:i'?m not sure|not sure (?:if|whether)|i wonder|do you (?:want|think)|would you like|"
    r"let me (?:check|verify|see|look|trace|investigate|find|know)|what if|is it possible)\b",
    re.IGNORECASE,
)


def is_unsure(text: str) -> bool:
    return _UNSURE.search(text) is not None


# How people begin a sentence before they come to what it says.
_LEAD: Final = (
    r"^(?:(?:yes|yeah|yep|ok(?:ay)?|sure|cool|great|good|no|nope|actually|then|so|and|but|also|"
    r"well|hmm|alright|right|please|pls|just|perfect|thanks|hey|wait|oh|nice|fine|instead|first|"
    r"next|finally|for now|in that case|i think|i guess)[,.!:;\s-]+)*"
)
_CHOICES: Final = (
    r"(?:use|go (?:with|for|back)|keep|drop|remove|switch|abandon|move|stick|skip|avoid|name|call|"
    r"replace|revert|rename|store|leave|not|only|just|defer|stay|merge|split|get rid|do away|"
    r"make (?:it|this|that|the)|treat|support|require|default|limit|separate)"
)
_MUST: Final = r"(?:(?:you |we )?(?:should|must|have to|need to) )?"

RULES: Final = (
    # What a person wants, beyond this once.
    _rule(
        "standing",
        "preference",
        "user",
        rf"{_LEAD}{_MUST}(?:always|never) [a-z]+"
        r"|\b(?:from now on|going forward|in (?:the )?future)\b"
        r"|\b(?:you|we) (?:should|must) (?:always|never)\b",
        0.9,
        unless=r"\bnever ?mind\b|\bin (?:the )?future (?:we |i )?(?:could|might|may|want)\b"
        r"|^\W*(?:\w+ )?(?:always|never) (?:been|had|was|is|got|saw|heard)\b",
    ),
    _rule(
        "forbidden",
        "preference",
        "user",
        rf"{_LEAD}(?:(?:you )?(?:don'?t|do not|shouldn't|should not|must not|mustn't) (?:ever )?"
        r"|stop (?=\w+ing)|avoid |no need to )[a-z]+\b",
        0.85,
        unless=r"(?:don'?t|do not) (?:worry|know|think|see|understand|get\b|have|want|need|"
        r"remember|believe|care|like|mind|recall|feel|quite|really|agree|stop)"
        r"|\b(?:yet|for now|right now|at the moment|until|today|this time)\b"
        r"|\b(?:fix|change|do|touch|implement|edit|write|commit|run|start|build) "
        r"(?:anything|it|this|that|them)\b",
        words_min=3,
    ),
    _rule(
        "prefer",
        "preference",
        "user",
        r"\bi(?:'d| would| do)? (?:really |much |strongly )?"
        r"(?:prefer|rather (?!than)|like it (?:better|when|more)|hate|dislike)\b"
        r"|\bmy preference (?:is|would be)\b",
        0.9,
    ),
    _rule(
        "convention",
        "preference",
        "user",
        rf"{_LEAD}(?:(?:in|for|on) (?:this|the) \w+(?: \w+)?,? )?"
        r"we (?:(?:always|never|usually|generally|only|normally|try to|don't|do not|like to) )"
        r"(?:\w+ )?(?:use|prefer|write|keep|name|call|follow|avoid|stick|commit|put|store|add|"
        r"run|test|allow|import|ship|support|mock|log)\b"
        r"|^our (?:convention|rule|policy|standard|style)\b"
        rf"|{_LEAD}there (?:should|must) (?:not be|never be|be no)\b",
        0.85,
    ),
    _rule(
        "use_instead",
        "preference",
        "user",
        rf"{_LEAD}{_MUST}(?:use|prefer|call|name|write|put|keep|import|return|make) .+"
        r"\b(?:instead(?: of)?|rather than|,? not (?:the |a |an )?\S+)",
        0.85,
    ),
    _rule(
        "make_sure",
        "preference",
        "user",
        rf"{_LEAD}{_MUST}(?:make sure|be sure|ensure|remember to|remember that|keep in mind|"
        r"bear in mind|take care)\b",
        0.8,
    ),
    # What a person says is wrong.
    _rule(
        "no_but",
        "correction",
        "user",
        r"^(?:no|nope|wrong|not quite|incorrect)[,.!:;\s-]+(?!need|problem|worries|idea|thanks|"
        r"rush|one|changes?|more|longer|other|way)\S+",
        0.85,
        unless=r"^no[,.! ]+(?:please|thank|(?:it|that)'?s (?:fine|ok|all|good))",
    ),
    _rule(
        "is_wrong",
        "correction",
        "user",
        r"\b(?:that|this|it|which|you) ?(?:'s|'re|is|are|was|were) (?:still |also |just |"
        r"completely |totally )?(?:wrong|incorrect|mistaken|not (?:right|correct|true|accurate|"
        r"what (?:i|we)\b|how (?:i|we|it)\b|the (?:issue|problem|point|case|same)))"
        r"|\bnot what i (?:asked|meant|wanted|said)\b",
        0.85,
    ),
    _rule(
        "meant",
        "correction",
        "user",
        rf"{_LEAD}i (?:actually |really )?(?:meant|was (?:asking|talking|referring))\b"
        r"|\bwhat i (?:actually |really )?(?:meant|wanted|asked for)\b"
        r"|^i (?:said|told you|asked (?:you )?(?:for|to)|wanted)\b.*\b(?:not|instead|only)\b",
        0.85,
    ),
    _rule(
        "you_failed",
        "correction",
        "user",
        r"\byou (?:forgot|missed|misunderstood|misread|broke|ignored|skipped|keep \w+ing|"
        r"(?:accidentally|wrongly) \w+|shouldn't have|should have|should not have|"
        r"weren't supposed|were supposed)\b",
        0.85,
        unless=r"\bif you (?:forgot|missed|skipped)\b"
        r"|\byou should have (?:access|a |an |the |all |everything)",
    ),
    # What a person settles.
    _rule("lets", "decision", "user", rf"{_LEAD}let'?s {_CHOICES}\b", 0.85),
    _rule(
        "go_with",
        "decision",
        "user",
        rf"{_LEAD}(?:i'll |we'll |i want to |we (?:should|will|want to) )?go (?:with|for)\b"
        r"|\b(?:i|we)(?:'ve| have)? (?:decided|chose|picked|agreed|settled|opted)\b"
        r"|^(?:decision|decided)\s*:",
        0.9,
        words_min=3,
    ),
    _rule(
        "approved",
        "decision",
        "user",
        r"\bis (?:definitely |clearly )?the (?:right|better|best) "
        r"(?:approach|way|choice|call|option)\b",
        0.8,
        unless=r"\b(?:if|whether|which|what|why|not)\b",
    ),
    _rule(
        "we_should",
        "decision",
        "user",
        rf"{_LEAD}(?:we|the [\w`.-]+(?: [\w`.-]+)?) "
        r"(?:should|must|shouldn't|mustn't|needs to|has to|have to) (?:not |only |also |just |"
        r"be |instead )*[a-z]+",
        0.75,
        unless=r"\bshould (?:be (?:able|fine|ok|good|done|working|ready|in|at|on|there|here)|work|"
        r"have been|look at)\b|\bwould be (?:great|nice|good)\b|\b(?:i think|i guess|maybe)\b"
        r"|\b(?:where|what|which|how|why|if) we should\b",
        words_min=5,
    ),
    # What an agent settles, says was wrong, or found.
    _rule(
        "chose",
        "decision",
        "assistant",
        r"\b(?:i|we)(?:'ve| have)? (?:decided|chose|opted|picked|went with|settled on)\b"
        r"|^(?:decision|decided|design decision)\s*:",
        0.85,
    ),
    _rule(
        "because",
        "decision",
        "assistant",
        r"^(?:(?:so|ok(?:ay)?|good|right|then|instead)[,.\s]+)?(?:i'll|we'll|i will|we will|let's|"
        r"we should|i'd (?:suggest|recommend)|i (?:suggest|recommend)) .*"
        r"\b(?:instead of|rather than|because|since (?:it|the|this|that|we|they)|so that|"
        r"to avoid)\b",
        0.8,
        unless=r"^(?:\w+[,.\s]+)?(?:i'll|we'll|i will|we will|let's) (?:also |now |first )?"
        r"(?:check|look|search|verify|read|explore|try|find|see|run|start|continue|investigate)\b",
        words_min=7,
    ),
    _rule(
        "cause",
        "pattern",
        "assistant",
        r"\b(?:root cause|(?:actual|real|underlying|core|key|main|whole) "
        r"(?:issue|bug|problem|cause|reason|error)|culprit)\b"
        r"(?: here| for \w+)? ?(?:is|was|:|-)"
        r"|^(?:so |ah,? )?(?:the|this) (?:issue|bug|problem|reason|failure|error) (?:here )?"
        r"(?:is|was|happens|occurs|comes|came) "
        r"(?:that|because|in|from|due|caused|when|the|how)\b",
        0.85,
        unless=r"\b(?:could|might|may|likely|probably|perhaps|possibly|seems?|appears?|suspect)\b"
        r"|\b(?:is|was) (?:not|unrelated)\b",
        words_min=6,
    ),
    _rule(
        "requires",
        "pattern",
        "assistant",
        r"^(?:the )?[\w`'./()-]+(?: [\w`'./()-]+){0,2} requires .+"
        r"\b(?:to be|to have|before|in|when)\b",
        0.85,
        unless=r"^(?:this|that|it|which|fixing|implementing|adding|changing)\b",
        words_min=7,
    ),
    _rule(
        "by_design",
        "pattern",
        "assistant",
        r"\b(?:by design|intentional(?:ly)?|on purpose|deliberate(?:ly)?)\b.*"
        r"\b(?:since|because|so that|as|to)\b",
        0.85,
        words_min=8,
    ),
    _rule("turns_out", "pattern", "assistant", r"\b(?:turns|turned) out\b", 0.85, words_min=6),
    _rule(
        "was_wrong",
        "correction",
        "assistant",
        r"\bi (?:was|had been) (?:wrong|mistaken|incorrect)\b.{12,}"
        r"|\b(?:was|were) (?:probably |likely )?"
        r"(?:a misdiagnos\w+|misdiagnosed|mistaken|based on a wrong)"
        r"|\bi (?:misread|misunderstood|misinterpreted|overlooked|wrongly|mistakenly|incorrectly|"
        r"should(?:n't| not)? have)\b",
        0.85,
        words_min=5,
    ),
)
