"""Understudy: ground truth by real physics, surrogates fitted on it, judged honestly, and a trail for the auditor."""

from snakemake.utils import min_version

min_version("9.27.1")


configfile: "config/config.yaml"


include: "rules/common.smk"


for study in CONFIGURATION.studies:

    include: f"rules/{study}.smk"


include: "rules/surrogate.smk"
include: "rules/report.smk"


report: "workflow/report/workflow.rst"


wildcard_constraints:
    study="|".join(CONFIGURATION.studies),


localrules:
    all,
    report,
    audit,


rule all:
    default_target: True
    input:
        result("report.html"),
        result("report.json"),


rule report:
    input:
        result("report.html"),


onstart:
    check_arrays()
    note_command()


onsuccess:
    tidy_shards()
