"""What staff may be asked about a row of an import, and what they may answer."""

from enum import StrEnum


class Question(StrEnum):
    """What staff decide about a row."""

    LOSES_ACCESS = "loses_access"
    MONEY_WENT_BACK = "money_went_back"
    NOTHING_DUE = "nothing_due"
    NO_ACCOUNT = "no_account"
    UNVERIFIED_ACCOUNT = "unverified_account"
    UNVERIFIED_CUSTOMER = "unverified_customer"
    SEVERAL_CUSTOMERS = "several_customers"
    UNREACHABLE = "unreachable"
    CLOSED_ACCOUNT = "closed_account"

    @property
    def label(self) -> str:
        return LABELS[self]


LABELS = {
    Question.LOSES_ACCESS: "Would lose access",
    Question.MONEY_WENT_BACK: "Money went back",
    Question.NOTHING_DUE: "Nothing gives access",
    Question.NO_ACCOUNT: "Has no account",
    Question.UNVERIFIED_ACCOUNT: "Account with an unverified address",
    Question.UNVERIFIED_CUSTOMER: "Customer with the same address",
    Question.SEVERAL_CUSTOMERS: "Several customers",
    Question.UNREACHABLE: "Account out of our reach",
    Question.CLOSED_ACCOUNT: "Disabled account that would be enabled",
}
GRANT, FOLLOW, INVITE, LINK, WITHOUT, LEAVE_OUT = "grant", "follow", "invite", "link", "without", "leave_out"
ENABLE = "enable"
CHOICES = {
    GRANT: "Grant access without payment until a date",
    FOLLOW: "Import; access follows what is paid",
    INVITE: "Import; make an account and email a link to set the password",
    LINK: "It is theirs: link it",
    WITHOUT: "It is not theirs: import without it",
    ENABLE: "Import; enable the account, without an email",
    LEAVE_OUT: "Leave out",
}
