"""Axonal injury: head impacts, brain mechanics, fibre strain, axon mechanics, injury maps."""

AXON = CONFIGURATION.axon
AXON_FIGURES = (
    "lead",
    "history_gain",
    "error_by_voxel",
    "error_by_strain",
    "error_by_tract",
    "layout_spread",
    "rate_dependence",
    "criteria",
    "sampling_efficiency",
    "injury_maps",
    "sex_maps",
    "sexes_by_tract",
    "impacts",
    "histories",
)


FINAL_RESULTS["axon"] = [result("axon", "maps", "maps.json")]


rule axon:
    input:
        result("axon", "surrogate", "metrics.json"),
        result("axon", "verification.json"),
        result("axon", "white_matter_errors.json"),
        result("axon", "sensitivity.json"),
        result("axon", "maps", "maps.json"),
        result("axon", "criteria.json"),
        result("axon", "sex_comparison.json"),
        result("axon", "sampling_comparison.json"),
        result("axon", "figures", "presentation.json"),


if AXON.fibres.url:

    rule retrieve_tractogram:
        output:
            tractogram=external(AXON.fibres.tractogram),
        log:
            log_file("retrieve_tractogram"),
        conda:
            "../envs/environment.yaml"
        threads: 1
        resources:
            mem_mb=1000,
            runtime=60,
        params:
            url=AXON.fibres.url,
            sha256=AXON.fibres.sha256,
        message:
            "Retrieving the tractogram"
        shell:
            "python scripts/retrieve_tractogram.py --url {params.url:q} --sha256 {params.sha256} "
            "--output {output.tractogram} 2>&1 | tee {log}"


rule map_fibre_orientation:
    input:
        config=stage_file("axon", "map_fibre_orientation"),
        tractogram=lambda wildcards: tractogram_input(AXON.fibres),
        tract_names=lambda wildcards: tract_names_input(AXON.fibres),
    output:
        field=result("axon", "fibre_orientation.h5"),
        record=result("axon", "fibre_orientation.h5.prov.json"),
    log:
        log_file("axon", "map_fibre_orientation"),
    benchmark:
        benchmark_file("axon", "map_fibre_orientation")
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=memory("axon.map_fibre_orientation"),
        runtime=run_time("axon.map_fibre_orientation"),
    params:
        code=code("map_fibre_orientation"),
        sha256=digest(tractogram_path(AXON.fibres), AXON.fibres.sha256),
        names_sha256=digest(tract_names_path(AXON.fibres), None),
    message:
        "Mapping fibre orientation in the white matter"
    shell:
        "python scripts/map_fibre_orientation.py --code {params.code} --config {input.config} "
        "--tractogram {input.tractogram} --tract-names {input.tract_names} --sha256 {params.sha256} --field {output.field} 2>&1 | tee {log}"


rule simulate_impacts:
    input:
        config=stage_file("axon", "simulate_impacts"),
        field=result("axon", "fibre_orientation.h5"),
        impacts=lambda wildcards: impact_files(AXON.impacts),
    output:
        strain=result("axon", "fibre_strain.h5"),
        record=result("axon", "fibre_strain.h5.prov.json"),
    log:
        log_file("axon", "simulate_impacts"),
    benchmark:
        benchmark_file("axon", "simulate_impacts")
    priority: ON_ALL_RANKS
    conda:
        "../envs/environment.yaml"
    threads: RANKS
    resources:
        **MPI_RESOURCES,
        mem_mb_per_cpu=memory("axon.simulate_impacts"),
        runtime=run_time("axon.simulate_impacts"),
    params:
        code=code("simulate_impacts"),
    message:
        "Simulating head impacts on {resources.tasks} rank(s)"
    shell:
        "{resources.launch} python scripts/simulate_impacts.py --ranks {resources.tasks} --code {params.code} "
        "--config {input.config} --field {input.field} --impacts {input.impacts} --strain {output.strain} "
        "2>&1 | tee {log}"


rule sample_profiles:
    input:
        config=stage_file("axon", "sample_profiles"),
        strain=result("axon", "fibre_strain.h5"),
    output:
        samples=result("axon", "samples.h5"),
        record=result("axon", "samples.h5.prov.json"),
    log:
        log_file("axon", "sample_profiles"),
    benchmark:
        benchmark_file("axon", "sample_profiles")
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=memory("axon.sample_profiles"),
        runtime=run_time("axon.sample_profiles"),
    params:
        code=code("sample_profiles"),
    message:
        "Sampling fibre strain profiles"
    shell:
        "python scripts/sample_profiles.py --code {params.code} --config {input.config} --strain {input.strain} "
        "--samples {output.samples} 2>&1 | tee {log}"


rule simulate_axons:
    input:
        config=stage_file("axon", "simulate_axons"),
        samples=result("axon", "samples.h5"),
    output:
        dataset=result("axon", "ground_truth.h5"),
        record=result("axon", "ground_truth.h5.prov.json"),
    log:
        log_file("axon", "simulate_axons"),
    benchmark:
        benchmark_file("axon", "simulate_axons")
    priority: ON_ALL_RANKS
    conda:
        "../envs/environment.yaml"
    threads: RANKS
    resources:
        **MPI_RESOURCES,
        mem_mb_per_cpu=memory("axon.simulate_axons"),
        runtime=run_time("axon.simulate_axons"),
    params:
        code=code("simulate_axons"),
    message:
        "Simulating axons on {resources.tasks} rank(s)"
    shell:
        "{resources.launch} python scripts/simulate_axons.py --ranks {resources.tasks} --code {params.code} "
        "--config {input.config} --samples {input.samples} --dataset {output.dataset} 2>&1 | tee {log}"


rule simulate_white_matter:
    input:
        config=stage_file("axon", "simulate_white_matter"),
        strain=result("axon", "fibre_strain.h5"),
    output:
        maps=result("axon", "white_matter.h5"),
        cost=result("axon", "white_matter_cost.json"),
        record=result("axon", "white_matter.h5.prov.json"),
    log:
        log_file("axon", "simulate_white_matter"),
    benchmark:
        benchmark_file("axon", "simulate_white_matter")
    priority: ON_ALL_RANKS
    conda:
        "../envs/environment.yaml"
    threads: RANKS
    resources:
        **MPI_RESOURCES,
        mem_mb_per_cpu=memory("axon.simulate_white_matter"),
        runtime=run_time("axon.simulate_white_matter"),
    params:
        code=code("simulate_white_matter"),
    message:
        "Simulating the whole white matter directly on {resources.tasks} rank(s)"
    shell:
        "{resources.launch} python scripts/simulate_white_matter.py --ranks {resources.tasks} --code {params.code} "
        "--config {input.config} --strain {input.strain} --maps {output.maps} --cost {output.cost} 2>&1 | tee {log}"


rule simulate_variant:
    input:
        config=stage_file("axon", "simulate_variant"),
        samples=result("axon", "samples.h5"),
    output:
        dataset=result("axon", "{variant}", "ground_truth.h5"),
        record=result("axon", "{variant}", "ground_truth.h5.prov.json"),
    log:
        log_file("axon", "simulate_{variant}"),
    benchmark:
        benchmark_file("axon", "simulate_{variant}")
    wildcard_constraints:
        variant="other_sex|other_criterion",
    priority: ON_ALL_RANKS
    conda:
        "../envs/environment.yaml"
    threads: RANKS
    resources:
        **MPI_RESOURCES,
        mem_mb_per_cpu=memory("axon.simulate_{variant}"),
        runtime=run_time("axon.simulate_{variant}"),
    params:
        code=code("simulate_variant"),
    message:
        "Simulating a variant of the axon ({wildcards.variant}) on {resources.tasks} rank(s)"
    shell:
        "{resources.launch} python scripts/simulate_variant.py --ranks {resources.tasks} --code {params.code} "
        "--variant {wildcards.variant} --config {input.config} --samples {input.samples} --dataset {output.dataset} "
        "2>&1 | tee {log}"


rule measure_noise_floor:
    input:
        config=stage_file("axon", "measure_noise_floor"),
        samples=result("axon", "samples.h5"),
    output:
        floor=result("axon", "noise_floor.json"),
        record=result("axon", "noise_floor.json.prov.json"),
    log:
        log_file("axon", "measure_noise_floor"),
    benchmark:
        benchmark_file("axon", "measure_noise_floor")
    priority: ON_ALL_RANKS
    conda:
        "../envs/environment.yaml"
    threads: RANKS
    resources:
        **MPI_RESOURCES,
        mem_mb_per_cpu=memory("axon.measure_noise_floor"),
        runtime=run_time("axon.measure_noise_floor"),
    params:
        code=code("measure_noise_floor"),
    message:
        "Measuring the noise floor of the injury model on {resources.tasks} rank(s)"
    shell:
        "{resources.launch} python scripts/measure_noise_floor.py --ranks {resources.tasks} --code {params.code} "
        "--config {input.config} --samples {input.samples} --floor {output.floor} 2>&1 | tee {log}"


rule verify_axon:
    input:
        config=stage_file("axon", "verify_axon"),
        field=result("axon", "fibre_orientation.h5"),
        strain=result("axon", "fibre_strain.h5"),
    output:
        checks=report(
            result("axon", "verification.json"),
            caption="../workflow/report/verification.rst",
            category="axon",
        ),
        record=result("axon", "verification.json.prov.json"),
    log:
        log_file("axon", "verify_axon"),
    benchmark:
        benchmark_file("axon", "verify_axon")
    priority: LONG
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=memory("axon.verify_axon"),
        runtime=run_time("axon.verify_axon"),
    params:
        code=code("verify_axon"),
    message:
        "Verifying the physics against analytic limits and published behaviour"
    shell:
        "python scripts/verify_axon.py --code {params.code} --config {input.config} --field {input.field} "
        "--strain {input.strain} --checks {output.checks} 2>&1 | tee {log}"


rule map_injury:
    input:
        strain=result("axon", "fibre_strain.h5"),
        models=result("axon", "surrogate", "models.h5"),
        cost=result("axon", "white_matter_cost.json"),
    output:
        injury_map=result("axon", "injury_map.h5"),
        deployment=result("axon", "deployment.json"),
        record=result("axon", "injury_map.h5.prov.json"),
    log:
        log_file("axon", "map_injury"),
    benchmark:
        benchmark_file("axon", "map_injury")
    conda:
        "../envs/environment.yaml"
    threads: 2
    resources:
        **GPU_RESOURCES,
        device=DEVICE,
        mem_mb=memory("axon.map_injury"),
        runtime=run_time("axon.map_injury"),
    params:
        code=code("map_injury", "axon"),
    message:
        "Mapping injury over the white matter with the surrogate"
    shell:
        "python scripts/map_injury.py --code {params.code} --device {resources.device} --threads {threads} "
        "--strain {input.strain} --models {input.models} --cost {input.cost} --injury-map {output.injury_map} "
        "--deployment {output.deployment} 2>&1 | tee {log}"


rule assess_white_matter:
    input:
        injury_map=result("axon", "injury_map.h5"),
        direct=result("axon", "white_matter.h5"),
        strain=result("axon", "fibre_strain.h5"),
        field=result("axon", "fibre_orientation.h5"),
    output:
        errors=result("axon", "white_matter_errors.json"),
        record=result("axon", "white_matter_errors.json.prov.json"),
    log:
        log_file("axon", "assess_white_matter"),
    benchmark:
        benchmark_file("axon", "assess_white_matter")
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=memory("axon.assess_white_matter"),
        runtime=run_time("axon.assess_white_matter"),
    params:
        code=code("assess_white_matter"),
    message:
        "Assessing the surrogate at every voxel of the white matter"
    shell:
        "python scripts/assess_white_matter.py --code {params.code} --injury-map {input.injury_map} "
        "--direct {input.direct} --strain {input.strain} --field {input.field} --errors {output.errors} "
        "2>&1 | tee {log}"


rule write_maps:
    input:
        direct=result("axon", "white_matter.h5"),
        injury_map=result("axon", "injury_map.h5"),
        sexes=result("axon", "sex_maps.h5"),
        strain=result("axon", "fibre_strain.h5"),
    output:
        listing=result("axon", "maps", "maps.json"),
        direct=result("axon", "maps", "direct.nii.gz"),
        surrogate=result("axon", "maps", "surrogate.nii.gz"),
        interval_width=result("axon", "maps", "interval_width.nii.gz"),
        sexes=result("axon", "maps", "sexes.nii.gz"),
        record=result("axon", "maps", "maps.json.prov.json"),
    log:
        log_file("axon", "write_maps"),
    benchmark:
        benchmark_file("axon", "write_maps")
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=memory("axon.write_maps"),
        runtime=run_time("axon.write_maps"),
    params:
        code=code("write_maps"),
    message:
        "Writing the maps of the white matter as NIfTI"
    shell:
        "python scripts/write_maps.py --code {params.code} --direct-maps {input.direct} "
        "--injury-map {input.injury_map} --sex-maps {input.sexes} --strain {input.strain} --listing {output.listing} "
        "--direct {output.direct} --surrogate {output.surrogate} --interval-width {output.interval_width} "
        "--sexes {output.sexes} 2>&1 | tee {log}"


rule measure_sensitivity:
    input:
        config=stage_file("axon", "measure_sensitivity"),
        field=result("axon", "fibre_orientation.h5"),
        strain=result("axon", "fibre_strain.h5"),
        models=result("axon", "surrogate", "models.h5"),
        impacts=lambda wildcards: impact_files(AXON.impacts),
    output:
        sensitivity=result("axon", "sensitivity.json"),
        record=result("axon", "sensitivity.json.prov.json"),
    log:
        log_file("axon", "measure_sensitivity"),
    benchmark:
        benchmark_file("axon", "measure_sensitivity")
    priority: LONG
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        **GPU_RESOURCES,
        device=DEVICE,
        mem_mb=memory("axon.measure_sensitivity"),
        runtime=run_time("axon.measure_sensitivity"),
    params:
        code=code("measure_sensitivity", "axon"),
    message:
        "Measuring the sensitivity of fibre strain to the settings of the mechanics"
    shell:
        "python scripts/measure_sensitivity.py --code {params.code} --device {resources.device} "
        "--config {input.config} --field {input.field} --strain {input.strain} --models {input.models} "
        "--impacts {input.impacts} --sensitivity {output.sensitivity} 2>&1 | tee {log}"


rule compare_criteria:
    input:
        config=stage_file("axon", "compare_criteria"),
        dataset=result("axon", "ground_truth.h5"),
        other=result("axon", "other_criterion", "ground_truth.h5"),
        verification=result("axon", "verification.json"),
    output:
        criteria=result("axon", "criteria.json"),
        record=result("axon", "criteria.json.prov.json"),
    log:
        log_file("axon", "compare_criteria"),
    benchmark:
        benchmark_file("axon", "compare_criteria")
    priority: LONG
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        **GPU_RESOURCES,
        device=DEVICE,
        mem_mb=memory("axon.compare_criteria"),
        runtime=run_time("axon.compare_criteria"),
    params:
        code=code("compare_criteria", "axon"),
    message:
        "Comparing the two tau criteria"
    shell:
        "python scripts/compare_criteria.py --code {params.code} --device {resources.device} --config {input.config} "
        "--dataset {input.dataset} --other {input.other} --verification {input.verification} "
        "--criteria {output.criteria} 2>&1 | tee {log}"


rule compare_sexes:
    input:
        config=stage_file("axon", "compare_sexes"),
        dataset=result("axon", "ground_truth.h5"),
        other=result("axon", "other_sex", "ground_truth.h5"),
        strain=result("axon", "fibre_strain.h5"),
        field=result("axon", "fibre_orientation.h5"),
    output:
        joint=result("axon", "sexes", "ground_truth.h5"),
        models=result("axon", "sexes", "models.h5"),
        maps=result("axon", "sex_maps.h5"),
        comparison=result("axon", "sex_comparison.json"),
        record=result("axon", "sexes", "ground_truth.h5.prov.json"),
    log:
        log_file("axon", "compare_sexes"),
    benchmark:
        benchmark_file("axon", "compare_sexes")
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        **GPU_RESOURCES,
        device=DEVICE,
        mem_mb=memory("axon.compare_sexes"),
        runtime=run_time("axon.compare_sexes"),
    params:
        code=code("compare_sexes", "axon"),
    message:
        "Comparing female and male axons on the same impacts"
    shell:
        "python scripts/compare_sexes.py --code {params.code} --device {resources.device} --config {input.config} "
        "--dataset {input.dataset} --other {input.other} --strain {input.strain} --field {input.field} "
        "--joint {output.joint} --models {output.models} --maps {output.maps} --comparison {output.comparison} "
        "2>&1 | tee {log}"


rule compare_samplings:
    input:
        config=stage_file("axon", "compare_samplings"),
        strain=result("axon", "fibre_strain.h5"),
        dataset=result("axon", "ground_truth.h5"),
        white_matter=result("axon", "white_matter.h5"),
    output:
        comparison=result("axon", "sampling_comparison.json"),
        record=result("axon", "sampling_comparison.json.prov.json"),
    log:
        log_file("axon", "compare_samplings"),
    benchmark:
        benchmark_file("axon", "compare_samplings")
    priority: LONG
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        **GPU_RESOURCES,
        device=DEVICE,
        mem_mb=memory("axon.compare_samplings"),
        runtime=run_time("axon.compare_samplings"),
    params:
        code=code("compare_samplings", "axon"),
    message:
        "Comparing ways of sampling at equal number of profiles"
    shell:
        "python scripts/compare_samplings.py --code {params.code} --device {resources.device} --config {input.config} "
        "--strain {input.strain} --dataset {input.dataset} --white-matter {input.white_matter} "
        "--comparison {output.comparison} 2>&1 | tee {log}"


rule draw_axon:
    input:
        strain=result("axon", "fibre_strain.h5"),
        field=result("axon", "fibre_orientation.h5"),
        dataset=result("axon", "ground_truth.h5"),
        injury_map=result("axon", "injury_map.h5"),
        checks=result("axon", "verification.json"),
        metrics=result("axon", "surrogate", "metrics.json"),
        floor=result("axon", "noise_floor.json"),
        white_matter=result("axon", "white_matter.h5"),
        white_matter_cost=result("axon", "white_matter_cost.json"),
        white_matter_errors=result("axon", "white_matter_errors.json"),
        deployment=result("axon", "deployment.json"),
        sensitivity=result("axon", "sensitivity.json"),
        criteria=result("axon", "criteria.json"),
        sex_comparison=result("axon", "sex_comparison.json"),
        sex_maps=result("axon", "sex_maps.h5"),
        sampling_comparison=result("axon", "sampling_comparison.json"),
    output:
        presentation=result("axon", "figures", "presentation.json"),
        figures=report(
            [result("axon", "figures", f"{name}.png") for name in AXON_FIGURES],
            caption="../workflow/report/figure.rst",
            category="axon",
        ),
        record=result("axon", "figures", "presentation.json.prov.json"),
    log:
        log_file("axon", "draw_axon"),
    benchmark:
        benchmark_file("axon", "draw_axon")
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=memory("axon.draw_axon"),
        runtime=run_time("axon.draw_axon"),
    params:
        code=code("draw_axon"),
    message:
        "Drawing the axon study's figures"
    shell:
        "python scripts/draw_axon.py --code {params.code} --strain {input.strain} --field {input.field} "
        "--dataset {input.dataset} --injury-map {input.injury_map} --checks {input.checks} --metrics {input.metrics} "
        "--floor {input.floor} --white-matter {input.white_matter} --white-matter-cost {input.white_matter_cost} "
        "--white-matter-errors {input.white_matter_errors} --deployment {input.deployment} "
        "--sensitivity {input.sensitivity} --criteria {input.criteria} --sex-comparison {input.sex_comparison} "
        "--sex-maps {input.sex_maps} --sampling-comparison {input.sampling_comparison} "
        "--presentation {output.presentation} --figures {output.figures} 2>&1 | tee {log}"
