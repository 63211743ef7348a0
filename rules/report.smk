"""Audit and report: what was made is judged, then shown."""


rule judge_results:
    input:
        [
            result(study, *path)
            for study in CONFIGURATION.studies
            for path in (
                ("surrogate", "metrics.json"),
                ("verification.json",),
                ("deployment.json",),
                ("figures", "presentation.json"),
            )
        ],
        [
            path
            for study in CONFIGURATION.studies
            for path in FINAL_RESULTS.get(study, [])
        ],
    output:
        audit=report(
            result("audit.json"),
            caption="../workflow/report/audit.rst",
            category="report",
        ),
        record=result("audit.json.prov.json"),
    log:
        log_file("judge_results"),
    benchmark:
        benchmark_file("judge_results")
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=memory("judge_results"),
        runtime=run_time("judge_results"),
    params:
        code=code("judge_results"),
        run=lambda wildcards, output: str(Path(output.audit).parent),
    message:
        "Auditing everything upstream of the report"
    shell:
        "python scripts/judge_results.py --code {params.code} --run {params.run} --inputs {input} "
        "--audit {output.audit} 2>&1 | tee {log}"


rule write_report:
    input:
        audit=result("audit.json"),
        studies=[
            result(study, *path)
            for study in CONFIGURATION.studies
            for path in (
                ("surrogate", "metrics.json"),
                ("surrogate", "predictions.h5"),
                ("surrogate", "cross_validation.h5"),
                ("surrogate", "learning_curve.json"),
                ("verification.json",),
                ("deployment.json",),
                ("figures", "presentation.json"),
            )
        ],
    output:
        html=report(
            result("report.html"),
            caption="../workflow/report/page.rst",
            category="report",
        ),
        json=result("report.json"),
        record=result("report.html.prov.json"),
    log:
        log_file("write_report"),
    benchmark:
        benchmark_file("write_report")
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=memory("write_report"),
        runtime=run_time("write_report"),
    params:
        code=code("write_report"),
        run=lambda wildcards, output: str(Path(output.html).parent),
        studies=list(CONFIGURATION.studies),
    message:
        "Writing the report"
    shell:
        "python scripts/write_report.py --code {params.code} --run {params.run} --studies {params.studies} "
        "--audit {input.audit} --inputs {input.studies} --html {output.html} --json {output.json} 2>&1 | tee {log}"


rule audit:
    log:
        log_file("audit"),
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=memory("judge_results"),
        runtime=run_time("judge_results"),
    params:
        run=RUN_FOLDER,
    message:
        "Auditing what exists; nothing is made or made again"
    shell:
        "understudy audit {params.run} 2>&1 | tee {log}"
