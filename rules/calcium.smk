"""Calcium waves: courses, rate networks of receptors, networks inside the solver, channels, designs, wave maps."""

CALCIUM = CONFIGURATION.calcium

FINAL_RESULTS["calcium"] = [
    result("calcium", "hybrid.json"),
    result("calcium", "channels.json"),
    result("calcium", "design.json"),
]


rule simulate_courses:
    input:
        config=stage_file("calcium", "simulate_courses"),
    output:
        dataset=result("calcium", "ground_truth.h5"),
        courses=result("calcium", "courses.h5"),
        floor=result("calcium", "noise_floor.json"),
        record=result("calcium", "ground_truth.h5.prov.json"),
    log:
        log_file("calcium", "simulate_courses"),
    benchmark:
        benchmark_file("calcium", "simulate_courses")
    conda:
        "../envs/environment.yaml"
    threads: RANKS
    resources:
        **MPI_RESOURCES,
        mem_mb_per_cpu=2000,
        runtime=120,
    params:
        code=code("simulate_courses"),
    message:
        "Simulating courses of calcium and the receptors' answer on {threads} rank(s)"
    shell:
        "{resources.launch} python scripts/simulate_courses.py --ranks {threads} --code {params.code} "
        "--config {input.config} --dataset {output.dataset} --courses {output.courses} --floor {output.floor} "
        "2>&1 | tee {log}"
