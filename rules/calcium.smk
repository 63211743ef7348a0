"""Calcium waves: courses, rate networks of receptors, networks inside the solver, channels, designs, wave maps."""

CALCIUM_FIGURES = (
    "lead",
    "waves",
    "traces",
    "open_probability",
    "clamps",
    "steps",
    "heldout",
    "thresholds",
    "recovery",
    "channels",
    "spikes",
    "observations",
    "knobs",
    "design",
    "validity",
    "convergence",
    "map",
)

FINAL_RESULTS["calcium"] = [
    result("calcium", "hybrid.json"),
    result("calcium", "channels.json"),
    result("calcium", "design.json"),
]


rule calcium:
    input:
        result("calcium", "surrogate", "metrics.json"),
        result("calcium", "verification.json"),
        result("calcium", "hybrid.json"),
        result("calcium", "channels.json"),
        result("calcium", "design.json"),
        result("calcium", "deployment.json"),
        result("calcium", "figures", "presentation.json"),


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
    priority: ON_ALL_RANKS
    conda:
        "../envs/environment.yaml"
    threads: RANKS
    resources:
        **MPI_RESOURCES,
        mem_mb_per_cpu=memory("calcium.simulate_courses"),
        runtime=run_time("calcium.simulate_courses"),
    params:
        code=code("simulate_courses"),
    message:
        "Simulating courses of calcium and the receptors' answer on {resources.tasks} rank(s)"
    shell:
        "{resources.launch} python scripts/simulate_courses.py --ranks {resources.tasks} --code {params.code} "
        "--config {input.config} --dataset {output.dataset} --courses {output.courses} --floor {output.floor} "
        "2>&1 | tee {log}"


rule train_receptors:
    input:
        config=stage_file("calcium", "train_receptors"),
        courses=result("calcium", "courses.h5"),
        models=result("calcium", "surrogate", "models.h5"),
    output:
        networks=result("calcium", "receptors", "networks.h5"),
        training=result("calcium", "receptors", "training.json"),
        record=result("calcium", "receptors", "networks.h5.prov.json"),
    log:
        log_file("calcium", "train_receptors"),
    benchmark:
        benchmark_file("calcium", "train_receptors")
    priority: ON_ALL_RANKS
    conda:
        "../envs/environment.yaml"
    threads: RANKS
    resources:
        **MPI_RESOURCES,
        mem_mb_per_cpu=memory("calcium.train_receptors"),
        runtime=run_time("calcium.train_receptors"),
    params:
        code=code("train_receptors"),
    message:
        "Training rate networks of ryanodine receptors on {resources.tasks} rank(s)"
    shell:
        "{resources.launch} python scripts/train_receptors.py --ranks {resources.tasks} --code {params.code} "
        "--config {input.config} --courses {input.courses} --models {input.models} "
        "--networks {output.networks} --training {output.training} 2>&1 | tee {log}"


rule simulate_hybrid:
    input:
        config=stage_file("calcium", "simulate_hybrid"),
        networks=result("calcium", "receptors", "networks.h5"),
    output:
        summary=result("calcium", "hybrid.json"),
        hybrid=result("calcium", "hybrid.h5"),
        record=result("calcium", "hybrid.json.prov.json"),
    log:
        log_file("calcium", "simulate_hybrid"),
    benchmark:
        benchmark_file("calcium", "simulate_hybrid")
    priority: ON_ALL_RANKS
    conda:
        "../envs/environment.yaml"
    threads: RANKS
    resources:
        **MPI_RESOURCES,
        mem_mb_per_cpu=memory("calcium.simulate_hybrid"),
        runtime=run_time("calcium.simulate_hybrid"),
    params:
        code=code("simulate_hybrid"),
    message:
        "Simulating networks and closures inside the cable on {resources.tasks} rank(s)"
    shell:
        "{resources.launch} python scripts/simulate_hybrid.py --ranks {resources.tasks} --code {params.code} "
        "--config {input.config} --networks {input.networks} --summary {output.summary} "
        "--hybrid {output.hybrid} 2>&1 | tee {log}"


rule compare_channels:
    input:
        config=stage_file("calcium", "compare_channels"),
    output:
        summary=result("calcium", "channels.json"),
        channels=result("calcium", "channels.h5"),
        record=result("calcium", "channels.json.prov.json"),
    log:
        log_file("calcium", "compare_channels"),
    benchmark:
        benchmark_file("calcium", "compare_channels")
    priority: ON_ALL_RANKS
    conda:
        "../envs/environment.yaml"
    threads: RANKS
    resources:
        **MPI_RESOURCES,
        mem_mb_per_cpu=memory("calcium.compare_channels"),
        runtime=run_time("calcium.compare_channels"),
    params:
        code=code("compare_channels"),
    message:
        "Fitting the channel family and networks from observations on {resources.tasks} rank(s)"
    shell:
        "{resources.launch} python scripts/compare_channels.py --ranks {resources.tasks} --code {params.code} "
        "--config {input.config} --summary {output.summary} --channels {output.channels} "
        "2>&1 | tee {log}"


rule design_waves:
    input:
        config=stage_file("calcium", "design_waves"),
    output:
        summary=result("calcium", "design.json"),
        designs=result("calcium", "design.h5"),
        record=result("calcium", "design.json.prov.json"),
    log:
        log_file("calcium", "design_waves"),
    benchmark:
        benchmark_file("calcium", "design_waves")
    priority: ON_ALL_RANKS
    conda:
        "../envs/environment.yaml"
    threads: RANKS
    resources:
        **MPI_RESOURCES,
        mem_mb_per_cpu=memory("calcium.design_waves"),
        runtime=run_time("calcium.design_waves"),
    params:
        code=code("design_waves"),
    message:
        "Designing channels and waves on {resources.tasks} rank(s)"
    shell:
        "{resources.launch} python scripts/design_waves.py --ranks {resources.tasks} --code {params.code} "
        "--config {input.config} --summary {output.summary} --designs {output.designs} 2>&1 | tee {log}"


rule map_waves:
    input:
        config=stage_file("calcium", "map_waves"),
        networks=result("calcium", "receptors", "networks.h5"),
        summary=result("calcium", "hybrid.json"),
    output:
        map=result("calcium", "wave_map.h5"),
        deployment=result("calcium", "deployment.json"),
        record=result("calcium", "wave_map.h5.prov.json"),
    log:
        log_file("calcium", "map_waves"),
    benchmark:
        benchmark_file("calcium", "map_waves")
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        **GPU_RESOURCES,
        device=DEVICE,
        mem_mb=memory("calcium.map_waves"),
        runtime=run_time("calcium.map_waves"),
    params:
        code=code("map_waves"),
    message:
        "Mapping waves over receptor density and ER radius"
    shell:
        "python scripts/map_waves.py --code {params.code} --device {resources.device} "
        "--config {input.config} --networks {input.networks} --summary {input.summary} --map {output.map} "
        "--deployment {output.deployment} 2>&1 | tee {log}"


rule verify_calcium:
    input:
        config=stage_file("calcium", "verify_calcium"),
    output:
        checks=result("calcium", "verification.json"),
        record=result("calcium", "verification.json.prov.json"),
    log:
        log_file("calcium", "verify_calcium"),
    benchmark:
        benchmark_file("calcium", "verify_calcium")
    priority: LONG
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=memory("calcium.verify_calcium"),
        runtime=run_time("calcium.verify_calcium"),
    params:
        code=code("verify_calcium"),
    message:
        "Verifying the calcium model"
    shell:
        "python scripts/verify_calcium.py --code {params.code} "
        "--config {input.config} --checks {output.checks} 2>&1 | tee {log}"


rule draw_calcium:
    input:
        dataset=result("calcium", "ground_truth.h5"),
        metrics=result("calcium", "surrogate", "metrics.json"),
        courses=result("calcium", "courses.h5"),
        floor=result("calcium", "noise_floor.json"),
        training=result("calcium", "receptors", "training.json"),
        hybrid=result("calcium", "hybrid.json"),
        waves=result("calcium", "hybrid.h5"),
        channels=result("calcium", "channels.json"),
        clamps=result("calcium", "channels.h5"),
        design=result("calcium", "design.json"),
        designed=result("calcium", "design.h5"),
        map=result("calcium", "wave_map.h5"),
        deployment=result("calcium", "deployment.json"),
        checks=result("calcium", "verification.json"),
    output:
        presentation=result("calcium", "figures", "presentation.json"),
        figures=report(
            expand(result("calcium", "figures", "{name}.png"), name=CALCIUM_FIGURES),
            caption="../workflow/report/figure.rst",
            category="calcium",
        ),
        record=result("calcium", "figures", "presentation.json.prov.json"),
    log:
        log_file("calcium", "draw_calcium"),
    benchmark:
        benchmark_file("calcium", "draw_calcium")
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=memory("calcium.draw_calcium"),
        runtime=run_time("calcium.draw_calcium"),
    params:
        code=code("draw_calcium"),
    message:
        "Drawing the calcium study"
    shell:
        "python scripts/draw_calcium.py --code {params.code} --dataset {input.dataset} --metrics {input.metrics} "
        "--courses {input.courses} --floor {input.floor} --training {input.training} --hybrid {input.hybrid} "
        "--waves {input.waves} --channels {input.channels} --clamps {input.clamps} --design {input.design} "
        "--designed {input.designed} --map {input.map} --deployment {input.deployment} --checks {input.checks} "
        "--presentation {output.presentation} --figures {output.figures} 2>&1 | tee {log}"
