"""Which secrets there are: one row each, from the formats that their issuers publish.

Most tokens are made to be found: a prefix of their own and a body of known characters. Such a row
is data, and both what searches gigabytes (`screen.py`) and what cuts the value out (`secrets.py`)
are made from it, so that they cannot drift apart. What has no form of its own - a password, the
40 characters of an AWS secret - is known by the name it is given to; those rows have patterns of
their own and are believed only after a look at the value (`values.py`).

To add one: a row here. The tests make up values from each row and fail if it is not found.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from msgspec import Struct

ALNUM: Final = "A-Za-z0-9"
WORD: Final = "A-Za-z0-9_"
URLSAFE: Final = r"A-Za-z0-9_\-"
BASE64: Final = "A-Za-z0-9+/"
UPPER: Final = "A-Z0-9"
HEX: Final = "a-f0-9"

PLAIN_PREFIX_CHARS: Final = 4
BODY_MAX: Final = 1_024  # longer bodies are cut out up to here, then go on as the next match

# Behind an escape that was left in the text, as in JSON inside JSON, a token begins too.
BEGINS: Final = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrtbf]))"


class Token(Struct, frozen=True):
    """A secret with a form of its own: one of the prefixes, then at least so many characters."""

    kind: str
    prefixes: tuple[str, ...]
    chars: str
    least: int

    @property
    def screens(self) -> list[str]:
        """Each prefix by itself: plain words cost a third of what they cost as parts of a pattern.

        A short one is met too often, so it comes with its body.
        """
        return [
            re.escape(prefix) + ("" if len(prefix) >= PLAIN_PREFIX_CHARS else self._body)
            for prefix in self.prefixes
        ]

    @property
    def pattern(self) -> str:
        return f"{BEGINS}(?P<value>(?:{self._prefix})[{self.chars}]{{{self.least},{BODY_MAX}}}+=*+)"

    @property
    def _body(self) -> str:
        return f"[{self.chars}]{{{self.least}}}"

    @property
    def _prefix(self) -> str:
        return "|".join(map(re.escape, self.prefixes))


Look = Literal["token", "url", "random", "password", "basic", "any"]


class Shape(Struct, frozen=True):
    """A secret that is told by what stands around it, or by parts; `value` is what is cut out.

    The screen must find all that the pattern finds, in raw JSON too: `\\/` for `/`, no boundaries.
    """

    kind: str
    screen: str
    pattern: str
    look: Look = "token"  # how the value is looked at before it is believed

    @property
    def screens(self) -> list[str]:
        return [self.screen]


TOKENS: Final = (
    # Models.
    Token("anthropic-key", ("sk-ant-",), URLSAFE, 24),
    Token("openrouter-key", ("sk-or-v1-", "sk-or-"), ALNUM, 32),
    Token("langfuse-key", ("sk-lf-",), URLSAFE, 32),
    Token("openai-key", ("sk-proj-", "sk-svcacct-", "sk-admin-", "sk-None-"), URLSAFE, 20),
    Token("openai-key", ("sk-",), ALNUM, 32),
    Token("google-api-key", ("AIza",), URLSAFE, 35),
    Token("huggingface-token", ("hf_", "api_org_"), ALNUM, 30),
    Token("groq-key", ("gsk_",), ALNUM, 40),
    Token("xai-key", ("xai-",), ALNUM, 60),
    Token("perplexity-key", ("pplx-",), ALNUM, 40),
    Token("replicate-token", ("r8_",), ALNUM, 36),
    Token("nvidia-key", ("nvapi-",), URLSAFE, 50),
    Token("fireworks-key", ("fw_",), ALNUM, 22),
    Token("together-key", ("tgp_v1_",), URLSAFE, 40),
    Token("langsmith-key", ("lsv2_pt_", "lsv2_sk_"), WORD, 32),
    Token("pinecone-key", ("pcsk_",), WORD, 40),
    Token("tavily-key", ("tvly-",), URLSAFE, 24),
    Token("e2b-key", ("e2b_",), HEX, 40),
    Token("jina-key", ("jina_",), URLSAFE, 40),
    # Code and packages.
    Token("github-token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), ALNUM, 36),
    Token("github-token", ("github_pat_",), WORD, 60),
    Token(
        "gitlab-token",
        (
            "glpat-",
            "gldt-",
            "glrt-",
            "glrtr-",
            "glcbt-",
            "glptt-",
            "glft-",
            "glimt-",
            "glagent-",
            "glsoat-",
            "gloas-",
            "glffct-",
            "glwt-",
        ),
        URLSAFE,
        20,
    ),
    Token("atlassian-token", ("ATATT3", "ATCTT3"), URLSAFE, 60),
    Token("bitbucket-token", ("ATBB",), ALNUM, 32),
    Token("npm-token", ("npm_",), ALNUM, 36),
    Token("pypi-token", ("pypi-AgEIcHlwaS5vcmc", "pypi-AgENdGVzdC5weXBpLm9yZw"), URLSAFE, 40),
    Token("rubygems-key", ("rubygems_",), HEX, 48),
    Token("clojars-token", ("CLOJARS_",), "a-z0-9", 60),
    Token("docker-token", ("dckr_pat_", "dckr_oat_"), URLSAFE, 27),
    Token("artifactory-key", ("AKCp",), ALNUM, 69),
    Token("buildkite-token", ("bkua_",), HEX, 40),
    Token("circleci-token", ("CCIPAT_",), WORD, 40),
    Token("sourcegraph-token", ("sgp_", "slk_"), WORD, 40),
    Token("sonar-token", ("sqp_", "squ_", "sqa_"), HEX, 40),
    Token("pulumi-token", ("pul-",), HEX, 40),
    Token("prefect-key", ("pnu_", "pnb_"), ALNUM, 36),
    Token("postman-key", ("PMAK-",), "A-Fa-f0-9-", 59),
    Token("readme-key", ("rdme_",), "a-z0-9", 70),
    Token("snyk-token", ("snyk_",), URLSAFE, 36),
    Token("deno-token", ("ddp_", "ddw_"), ALNUM, 36),
    # Clouds and machines.
    Token("aws-key-id", ("AKIA", "ASIA", "ABIA", "ACCA"), "A-Z2-7", 16),
    Token("aws-bedrock-key", ("ABSKQmVkcm9ja0FQSUtleS",), BASE64, 80),
    Token("google-oauth-token", ("ya29.",), URLSAFE, 30),
    Token("google-oauth-secret", ("GOCSPX-",), URLSAFE, 28),
    Token("digitalocean-token", ("dop_v1_", "doo_v1_", "dor_v1_"), HEX, 64),
    Token("alibaba-key-id", ("LTAI",), ALNUM, 20),
    Token("yandex-key", ("AQVN",), URLSAFE, 35),
    Token("heroku-key", ("HRKU-",), URLSAFE, 36),
    Token("fly-token", ("fo1_", "fm1_", "fm2_", "fm1r_", "fm1a_"), f"{BASE64}_=-", 40),
    Token("netlify-token", ("nfp_",), WORD, 36),
    Token("vercel-token", ("vcp_", "vca_", "vci_", "vck_"), ALNUM, 40),
    Token("supabase-key", ("sbp_", "sb_secret_"), WORD, 24),
    Token("neon-key", ("napi_",), "a-z0-9", 48),
    Token("planetscale-token", ("pscale_pw_", "pscale_tkn_", "pscale_oauth_"), f"{WORD}=.-", 32),
    Token("databricks-token", ("dapi", "dkea", "dose"), HEX, 32),
    Token("vault-token", ("hvs.", "hvb.", "hvr."), URLSAFE, 24),
    Token("terraform-token", (".atlasv1.",), URLSAFE, 60),
    Token("doppler-token", ("dp.pt.", "dp.st.", "dp.ct.", "dp.sa.", "dp.scim."), ALNUM, 40),
    Token("infracost-key", ("ico-",), ALNUM, 32),
    Token("tailscale-key", ("tskey-",), URLSAFE, 20),
    Token("onepassword-token", ("ops_eyJ",), f"{BASE64}_=-", 200),
    Token("age-key", ("AGE-SECRET-KEY-1",), UPPER, 58),
    Token("scalingo-token", ("tk-us-",), URLSAFE, 48),
    # Watching and mail.
    Token("sentry-token", ("sntrys_", "sntryu_"), f"{BASE64}_=-", 60),
    Token("grafana-token", ("glc_", "glsa_"), f"{BASE64}_=", 32),
    Token("newrelic-key", ("NRAK-", "NRII-", "NRIQ-"), URLSAFE, 20),
    Token("dynatrace-token", ("dt0c01.", "dt0s01."), f"{UPPER}.", 80),
    Token("sendgrid-key", ("SG.",), f"{URLSAFE}.", 60),
    Token("brevo-key", ("xkeysib-", "xsmtpsib-"), "a-z0-9-", 64),
    Token("posthog-key", ("phx_",), ALNUM, 40),
    # Talking.
    Token("slack-token", ("xoxb-", "xoxp-", "xoxa-", "xoxo-", "xoxr-", "xoxs-"), "A-Za-z0-9-", 20),
    Token("slack-token", ("xoxe-", "xoxe.xox", "xoxc-", "xoxd-"), "A-Za-z0-9%-", 20),
    Token("slack-token", ("xapp-",), "A-Za-z0-9-", 40),
    Token("linear-key", ("lin_api_", "lin_oauth_"), ALNUM, 32),
    Token("notion-token", ("ntn_",), ALNUM, 40),
    Token("figma-token", ("figd_", "figo_"), URLSAFE, 36),
    Token("typeform-token", ("tfp_",), f"{URLSAFE}.=", 44),
    # Money.
    Token(
        "stripe-key",
        ("sk_live_", "rk_live_", "sk_test_", "rk_test_", "sk_prod_", "rk_prod_", "sk_org_"),
        ALNUM,
        16,
    ),
    Token("stripe-webhook-secret", ("whsec_",), BASE64, 32),
    Token("square-token", ("sq0atp-", "sq0csp-"), URLSAFE, 22),
    Token("shopify-token", ("shpat_", "shpca_", "shppa_", "shpss_", "shpua_"), "A-Fa-f0-9", 32),
    Token("razorpay-key", ("rzp_live_", "rzp_test_"), ALNUM, 14),
    Token("flutterwave-key", ("FLWSECK-", "FLWSECK_TEST-"), "A-Za-z0-9-", 32),
    Token("plaid-token", ("access-sandbox-", "access-production-"), "a-f0-9-", 36),
    Token("easypost-key", ("EZAK", "EZTK"), ALNUM, 54),
    Token("shippo-token", ("shippo_live_", "shippo_test_"), HEX, 40),
    Token("duffel-token", ("duffel_live_", "duffel_test_"), URLSAFE, 43),
)

# What may stand between the words of a header or an assignment: text, or JSON that was left in it.
_SPACE: Final = r"(?:\s|\\(?:[nrtf]|u000[9a-d])?)+"
_GAP: Final = r"(?:[\s\"'`\]]|\\(?:[nrtf]|u000[9a-d])?)*"
_NAMES: Final = "[_-]key|apikey|accesskey|secret|password|passwd|passphrase|pwd|credential"
# Each reply of a model counts its tokens: without the plural there is far less to look at.
_SINGULAR: Final = "token(?:[a-rt-z0-9_-][a-z0-9_-]*)?"
_NAME: Final = rf"(?:(?:{_NAMES})[a-z0-9_-]*|{_SINGULAR})"
_ASSIGNS: Final = rf"{_GAP}[:=]>?=?{_GAP}"
# Code that is given a name is most of what such names are followed by; what is random has digits
# among its letters, and what a person made up has at least a symbol.
_PLAIN: Final = r"(?:[^\s\"'\\,;(){}<>$]|\\u[0-9a-f]{4})*"
_MIXED: Final = rf"{_PLAIN}(?:[0-9]{_PLAIN}[a-z]|[a-z]{_PLAIN}[0-9!@#%^*+~?&=])"

SHAPES: Final = (
    Shape(
        "slack-webhook",
        r"hooks\.slack\.com",
        r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<value>[A-Za-z0-9_/+-]{20,200}+)",
    ),
    Shape(
        "discord-webhook",
        r"(?i)discord(?:app)?\.com\\?/api\\?/webhooks\\?/[0-9]",
        r"(?i)discord(?:app)?\.com/api/webhooks/[0-9]{5,25}+/(?P<value>[\w-]{30,200}+)",
    ),
    Shape(
        "discord-token",
        # Their form has no letters of its own to look for, so it is looked for near the name.
        r"(?i)discord|authorization",
        BEGINS + r"(?P<value>[MNO][\w-]{22,27}\.[\w-]{6}\.[\w-]{27,50})(?![\w.-])",
    ),
    Shape(
        "teams-webhook",
        r"(?i)webhook\.office\.com",
        r"(?i)webhook\.office\.com/webhookb2/(?P<value>[\w@/-]{40,300}+)",
    ),
    Shape(
        "telegram-token",
        r"[0-9]:AA[A-Za-z0-9_-]",
        r"(?<![0-9])(?P<value>[0-9]{8,12}:AA[\w-]{32,36})(?![\w-])",
    ),
    Shape(
        "twilio-key",
        r"SK[0-9a-f]{32}",
        BEGINS + r"(?P<value>SK[0-9a-f]{32})(?![A-Za-z0-9])",
    ),
    Shape(
        "azure-secret",
        r"[0-9]Q~[A-Za-z0-9_.~-]",
        r"(?<![\w.~-])(?P<value>[\w.~-]{3}[0-9]Q~[\w.~-]{31,34})(?![\w.~-])",
    ),
    Shape(
        "azure-key",
        r"(?i)(?:AccountKey|SharedAccessKey)=",
        r"(?i)(?:AccountKey|SharedAccessKey)=(?P<value>[A-Za-z0-9+/]{32,120}+={0,2})",
    ),
    Shape(
        "azure-sas",
        r"[?&;]sig=",
        r"(?<=[?&;])sig=(?P<value>[A-Za-z0-9%+/_-]{30,200}+=*)",
    ),
    Shape(
        "jwt",
        r"\.eyJ",
        r"(?<![\w-])(?P<value>eyJ[\w-]{8,4096}+\.eyJ[\w-]{8,8192}+(?:\.[\w-]{0,2048}+)?)",
        "any",
    ),
    Shape(
        "url-password",
        r":\\?/\\?/[^\s/@\"'<>:]*:[^\s/@\"'<>]+@",
        r"(?i)(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{1,20}+://[^\x00-\x20/@\"'<>:]{0,100}+:"
        r"(?P<value>[^\x00-\x20/@\"'<>]{1,200}+)@",
        "url",
    ),
    Shape(
        "authorization",
        rf"(?i)authorization{_GAP}[:=]{_GAP}[a-z]",
        r"(?i)authorization[\s\\\"'`]{0,8}+[:=][\s\\\"'`]{0,8}+(?:bearer|token|apikey|bot|key)"
        r"[\s=:]{1,4}+(?P<value>[\w.~+/-]{12,2048}+=*)",
    ),
    Shape(
        "bearer-token",
        rf"(?i)bearer{_SPACE}[a-z]*[0-9._~+/-][a-z0-9._~+/-]{{8}}",
        r"(?i)\bbearer[\s\\]{1,3}+(?P<value>[\w.~+/-]{16,2048}+=*)",
        "random",
    ),
    Shape(
        "basic-auth",
        rf"(?i)(?:basic{_SPACE}[a-z+/]*[0-9=]|authorization{_GAP}[:=]{_GAP}basic)",
        r"(?i)\bbasic[\s\\]{1,3}+(?P<value>[A-Za-z0-9+/]{8,1024}+=*)",
        "basic",
    ),
    Shape(
        "curl-password",
        r"(?: -u|--user|-user)(?:[\s=\"']|\\(?:[nrtf]|u000[9a-d])?)+[A-Za-z0-9_.@-]+:"
        r"(?:[^\s\"'\\]|\\u)",
        r"(?<!\S)(?:-u|--user|--proxy-user)[\s=\\\"']{1,4}+[\w.@-]{1,64}:"
        r"(?P<value>[^\x00-\x20\"'\\]{6,200}+)",
        "password",
    ),
)

RULES: Final[tuple[Token | Shape, ...]] = (*TOKENS, *SHAPES)

# Assignments: name and value are judged together (`values.py`), so they have no pattern above.
# The text is searched in small letters: without flags the engine sees where no match can begin.
NAMED_SCREEN: Final = rf"(?i){_NAME}{_ASSIGNS}{_MIXED}"
NAMED: Final = re.compile(
    (
        rf"(?:{_NAMES}|token(?!s))[a-z0-9_-]{{0,30}}+(?P<gap>[\s\\\"'`\]]{{0,16}}+(?:=>|:=|=|:)"
        r"(?P<open>[\s\\\"'`]{0,8}+))(?P<value>[^\x00-\x20\"'`\\,;]{6,1024}+)"
    ).encode()
)
NAME: Final = re.compile(rf"(?i)(?:{_NAMES}|token(?!s))".encode())
