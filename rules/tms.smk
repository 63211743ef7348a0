"""TMS activation thresholds: cells, coils, fields in a head, cable simulations, threshold maps."""

TMS = CONFIGURATION.tms
TMS_FIGURES = (
    "lead",
    "cells",
    "gate",
    "head",
    "fields",
    "strength_duration",
    "initiation",
    "models",
    "population",
    "map",
)

FINAL_RESULTS["tms"] = [
    result("tms", "maps", "maps.json"),
    result("tms", "surrogate", "cells.h5"),
]


REAL_CELLS = real_cell_files(TMS.cells)
TMS_PULSE = pulse_file(TMS.pulses)
TMS_COIL = coil_file(TMS.coil)


rule tms:
    input:
        result("tms", "surrogate", "metrics.json"),
        result("tms", "verification.json"),
        result("tms", "comparison.json"),
        result("tms", "maps", "maps.json"),
        result("tms", "surrogate", "cells.h5"),
        result("tms", "figures", "presentation.json"),


if TMS.cells.real_urls and TMS.cells.real_source != "none":

    rule retrieve_morphologies:
        output:
            morphologies=[external(path) for path in TMS.cells.real_files],
        log:
            log_file("retrieve_morphologies"),
        conda:
            "../envs/environment.yaml"
        threads: 1
        resources:
            mem_mb=1000,
            runtime=60,
        params:
            urls=list(TMS.cells.real_urls),
            sha256=list(TMS.cells.real_sha256),
        message:
            "Retrieving reconstructed cells"
        shell:
            "python scripts/retrieve_morphologies.py --urls {params.urls:q} --sha256 {params.sha256} "
            "--outputs {output.morphologies} 2>&1 | tee {log}"


rule compile_mechanisms:
    output:
        library=result("tms", "mechanisms", "libnrnmech.so"),
        record=result("tms", "mechanisms", "libnrnmech.so.prov.json"),
    log:
        log_file("tms", "compile_mechanisms"),
    benchmark:
        benchmark_file("tms", "compile_mechanisms")
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=memory("tms.compile_mechanisms"),
        runtime=run_time("tms.compile_mechanisms"),
    params:
        code=code("compile_mechanisms"),
    message:
        "Compiling membrane mechanisms for NEURON"
    shell:
        "python scripts/compile_mechanisms.py --code {params.code} --library {output.library} 2>&1 | tee {log}"


rule build_cells:
    input:
        config=stage_file("tms", "build_cells"),
        real=[ancient(path) for path in REAL_CELLS],
        pulse=TMS_PULSE,
    output:
        cells=result("tms", "cells.h5"),
        record=result("tms", "cells.h5.prov.json"),
    log:
        log_file("tms", "build_cells"),
    benchmark:
        benchmark_file("tms", "build_cells")
    priority: ON_ALL_RANKS
    conda:
        "../envs/environment.yaml"
    threads: RANKS
    resources:
        **MPI_RESOURCES,
        mem_mb_per_cpu=memory("tms.build_cells"),
        runtime=run_time("tms.build_cells"),
    params:
        code=code("build_cells"),
        real=real_cells(TMS.cells, REAL_CELLS),
    message:
        "Growing cells, and accepting them by their thresholds, on {resources.tasks} rank(s)"
    shell:
        "{resources.launch} python scripts/build_cells.py --ranks {resources.tasks} --code {params.code} "
        "--config {input.config} --real {input.real} --real-types {params.real[types]} --pulse {input.pulse} "
        "--cells {output.cells} 2>&1 | tee {log}"


rule share_cells:
    input:
        cells=result("tms", "cells.h5"),
    output:
        shared=result("tms", "surrogate", "cells.h5"),
        record=result("tms", "surrogate", "cells.h5.prov.json"),
    log:
        log_file("tms", "share_cells"),
    benchmark:
        benchmark_file("tms", "share_cells")
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=memory("tms.share_cells"),
        runtime=run_time("tms.share_cells"),
    params:
        code=code("share_cells"),
    message:
        "Keeping the study's own cells beside the model"
    shell:
        "python scripts/share_cells.py --code {params.code} --cells {input.cells} --shared {output.shared} "
        "2>&1 | tee {log}"


rule place_coils:
    input:
        config=stage_file("tms", "place_coils"),
        coil=TMS_COIL,
    output:
        placements=result("tms", "placements.h5"),
        record=result("tms", "placements.h5.prov.json"),
    log:
        log_file("tms", "place_coils"),
    benchmark:
        benchmark_file("tms", "place_coils")
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=memory("tms.place_coils"),
        runtime=run_time("tms.place_coils"),
    params:
        code=code("place_coils"),
    message:
        "Choosing cortical patches and placing coils over them"
    shell:
        "python scripts/place_coils.py --code {params.code} --config {input.config} --coil {input.coil} "
        "--placements {output.placements} 2>&1 | tee {log}"


rule simulate_fields:
    input:
        config=stage_file("tms", "simulate_fields"),
        placements=result("tms", "placements.h5"),
        coil=TMS_COIL,
    output:
        fields=result("tms", "fields.h5"),
        record=result("tms", "fields.h5.prov.json"),
    log:
        log_file("tms", "simulate_fields"),
    benchmark:
        benchmark_file("tms", "simulate_fields")
    priority: ON_ALL_RANKS
    conda:
        "../envs/environment.yaml"
    threads: RANKS
    resources:
        **MPI_RESOURCES,
        mem_mb_per_cpu=memory("tms.simulate_fields"),
        runtime=run_time("tms.simulate_fields"),
    params:
        code=code("simulate_fields"),
    message:
        "Simulating electric fields in the heads on {resources.tasks} rank(s)"
    shell:
        "{resources.launch} python scripts/simulate_fields.py --ranks {resources.tasks} --code {params.code} "
        "--config {input.config} --placements {input.placements} --coil {input.coil} --fields {output.fields} "
        "2>&1 | tee {log}"


rule place_cells:
    input:
        config=stage_file("tms", "place_cells"),
        cells=result("tms", "cells.h5"),
        placements=result("tms", "placements.h5"),
        fields=result("tms", "fields.h5"),
    output:
        samples=result("tms", "samples.h5"),
        record=result("tms", "samples.h5.prov.json"),
    log:
        log_file("tms", "place_cells"),
    benchmark:
        benchmark_file("tms", "place_cells")
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=memory("tms.place_cells"),
        runtime=run_time("tms.place_cells"),
    params:
        code=code("place_cells"),
    message:
        "Placing cells in the cortex"
    shell:
        "python scripts/place_cells.py --code {params.code} --config {input.config} --cells {input.cells} "
        "--placements {input.placements} --fields {input.fields} --samples {output.samples} 2>&1 | tee {log}"


rule simulate_thresholds:
    input:
        config=stage_file("tms", "simulate_thresholds"),
        cells=result("tms", "cells.h5"),
        placements=result("tms", "placements.h5"),
        fields=result("tms", "fields.h5"),
        samples=result("tms", "samples.h5"),
        library=result("tms", "mechanisms", "libnrnmech.so"),
        pulse=TMS_PULSE,
    output:
        dataset=result("tms", "ground_truth.h5"),
        thresholds=result("tms", "thresholds.h5"),
        record=result("tms", "ground_truth.h5.prov.json"),
    log:
        log_file("tms", "simulate_thresholds"),
    benchmark:
        benchmark_file("tms", "simulate_thresholds")
    priority: ON_ALL_RANKS
    conda:
        "../envs/environment.yaml"
    threads: RANKS
    resources:
        **MPI_RESOURCES,
        mem_mb_per_cpu=memory("tms.simulate_thresholds"),
        runtime=run_time("tms.simulate_thresholds"),
    params:
        code=code("simulate_thresholds"),
    message:
        "Simulating activation thresholds on {resources.tasks} rank(s)"
    shell:
        "{resources.launch} python scripts/simulate_thresholds.py --ranks {resources.tasks} --code {params.code} "
        "--config {input.config} --cells {input.cells} --placements {input.placements} --fields {input.fields} "
        "--samples {input.samples} --library {input.library} --pulse {input.pulse} --dataset {output.dataset} "
        "--thresholds {output.thresholds} 2>&1 | tee {log}"


rule measure_threshold_noise:
    input:
        config=stage_file("tms", "measure_threshold_noise"),
        cells=result("tms", "cells.h5"),
        fields=result("tms", "fields.h5"),
        samples=result("tms", "samples.h5"),
        library=result("tms", "mechanisms", "libnrnmech.so"),
        pulse=TMS_PULSE,
    output:
        floor=result("tms", "noise_floor.json"),
        record=result("tms", "noise_floor.json.prov.json"),
    log:
        log_file("tms", "measure_threshold_noise"),
    benchmark:
        benchmark_file("tms", "measure_threshold_noise")
    priority: ON_ALL_RANKS
    conda:
        "../envs/environment.yaml"
    threads: RANKS
    resources:
        **MPI_RESOURCES,
        mem_mb_per_cpu=memory("tms.measure_threshold_noise"),
        runtime=run_time("tms.measure_threshold_noise"),
    params:
        code=code("measure_threshold_noise"),
    message:
        "Measuring the noise floor of thresholds on {resources.tasks} rank(s)"
    shell:
        "{resources.launch} python scripts/measure_threshold_noise.py --ranks {resources.tasks} --code {params.code} "
        "--config {input.config} --cells {input.cells} --fields {input.fields} --samples {input.samples} "
        "--library {input.library} --pulse {input.pulse} --floor {output.floor} 2>&1 | tee {log}"


rule map_directions:
    input:
        config=stage_file("tms", "map_directions"),
        cells=result("tms", "cells.h5"),
        library=result("tms", "mechanisms", "libnrnmech.so"),
        pulse=TMS_PULSE,
    output:
        directions=result("tms", "direction_maps.h5"),
        record=result("tms", "direction_maps.h5.prov.json"),
    log:
        log_file("tms", "map_directions"),
    benchmark:
        benchmark_file("tms", "map_directions")
    priority: ON_ALL_RANKS
    conda:
        "../envs/environment.yaml"
    threads: RANKS
    resources:
        **MPI_RESOURCES,
        mem_mb_per_cpu=memory("tms.map_directions"),
        runtime=run_time("tms.map_directions"),
    params:
        code=code("map_directions"),
    message:
        "Mapping thresholds of uniform fields by direction on {resources.tasks} rank(s)"
    shell:
        "{resources.launch} python scripts/map_directions.py --ranks {resources.tasks} --code {params.code} "
        "--config {input.config} --cells {input.cells} --library {input.library} --pulse {input.pulse} "
        "--directions {output.directions} 2>&1 | tee {log}"


rule compare_models:
    input:
        config=stage_file("tms", "compare_models"),
        cells=result("tms", "cells.h5"),
        dataset=result("tms", "ground_truth.h5"),
        thresholds=result("tms", "thresholds.h5"),
        directions=result("tms", "direction_maps.h5"),
        predictions=result("tms", "surrogate", "predictions.h5"),
    output:
        comparison=result("tms", "comparison.json"),
        published=result("tms", "surrogate", "published_networks.h5"),
        record=result("tms", "comparison.json.prov.json"),
    log:
        log_file("tms", "compare_models"),
    benchmark:
        benchmark_file("tms", "compare_models")
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        **GPU_RESOURCES,
        device=DEVICE,
        mem_mb=memory("tms.compare_models"),
        runtime=run_time("tms.compare_models"),
    params:
        code=code("compare_models"),
    message:
        "Fitting the published networks and the baselines, and comparing them"
    shell:
        "python scripts/compare_models.py --code {params.code} --device {resources.device} --config {input.config} "
        "--cells {input.cells} --dataset {input.dataset} --thresholds {input.thresholds} "
        "--directions {input.directions} --predictions {input.predictions} --comparison {output.comparison} "
        "--published {output.published} 2>&1 | tee {log}"


rule map_thresholds:
    input:
        config=stage_file("tms", "map_thresholds"),
        cells=result("tms", "cells.h5"),
        placements=result("tms", "placements.h5"),
        models=result("tms", "surrogate", "models.h5"),
        thresholds=result("tms", "thresholds.h5"),
        pulse=TMS_PULSE,
        coil=TMS_COIL,
    output:
        map=result("tms", "threshold_map.h5"),
        deployment=result("tms", "deployment.json"),
        record=result("tms", "threshold_map.h5.prov.json"),
    log:
        log_file("tms", "map_thresholds"),
    benchmark:
        benchmark_file("tms", "map_thresholds")
    priority: LONG
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        **GPU_RESOURCES,
        device=DEVICE,
        mem_mb=memory("tms.map_thresholds"),
        runtime=run_time("tms.map_thresholds"),
    params:
        code=code("map_thresholds"),
    message:
        "Mapping thresholds over the cortex of a hemisphere"
    shell:
        "python scripts/map_thresholds.py --code {params.code} --device {resources.device} --config {input.config} "
        "--cells {input.cells} --placements {input.placements} --models {input.models} "
        "--thresholds {input.thresholds} --pulse {input.pulse} --coil {input.coil} --map {output.map} "
        "--deployment {output.deployment} 2>&1 | tee {log}"


rule write_surface_maps:
    input:
        map=result("tms", "threshold_map.h5"),
    output:
        listing=result("tms", "maps", "maps.json"),
        surface=result("tms", "maps", "surface.surf.gii"),
        maps=expand(
            result("tms", "maps", "{cell_type}.func.gii"), cell_type=TMS.cells.types
        ),
        record=result("tms", "maps", "maps.json.prov.json"),
    log:
        log_file("tms", "write_surface_maps"),
    benchmark:
        benchmark_file("tms", "write_surface_maps")
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=memory("tms.write_surface_maps"),
        runtime=run_time("tms.write_surface_maps"),
    params:
        code=code("write_surface_maps"),
    message:
        "Writing threshold maps as GIFTI"
    shell:
        "python scripts/write_surface_maps.py --code {params.code} --map {input.map} --listing {output.listing} "
        "--surface {output.surface} --maps {output.maps} 2>&1 | tee {log}"


rule verify_tms:
    input:
        config=stage_file("tms", "verify_tms"),
        cells=result("tms", "cells.h5"),
        placements=result("tms", "placements.h5"),
        samples=result("tms", "samples.h5"),
        thresholds=result("tms", "thresholds.h5"),
        library=result("tms", "mechanisms", "libnrnmech.so"),
        pulse=TMS_PULSE,
        coil=TMS_COIL,
    output:
        checks=report(
            result("tms", "verification.json"),
            caption="../workflow/report/verification.rst",
            category="tms",
        ),
        record=result("tms", "verification.json.prov.json"),
    log:
        log_file("tms", "verify_tms"),
    benchmark:
        benchmark_file("tms", "verify_tms")
    priority: LONG
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=memory("tms.verify_tms"),
        runtime=run_time("tms.verify_tms"),
    params:
        code=code("verify_tms"),
    message:
        "Verifying cells, engine and fields"
    shell:
        "python scripts/verify_tms.py --code {params.code} --config {input.config} --cells {input.cells} "
        "--placements {input.placements} --samples {input.samples} --thresholds {input.thresholds} "
        "--library {input.library} --pulse {input.pulse} --coil {input.coil} --checks {output.checks} "
        "2>&1 | tee {log}"


rule draw_tms:
    input:
        cells=result("tms", "cells.h5"),
        placements=result("tms", "placements.h5"),
        fields=result("tms", "fields.h5"),
        samples=result("tms", "samples.h5"),
        dataset=result("tms", "ground_truth.h5"),
        thresholds=result("tms", "thresholds.h5"),
        predictions=result("tms", "surrogate", "predictions.h5"),
        checks=result("tms", "verification.json"),
        metrics=result("tms", "surrogate", "metrics.json"),
        floor=result("tms", "noise_floor.json"),
        comparison=result("tms", "comparison.json"),
        map=result("tms", "threshold_map.h5"),
        deployment=result("tms", "deployment.json"),
    output:
        presentation=result("tms", "figures", "presentation.json"),
        figures=report(
            expand(result("tms", "figures", "{name}.png"), name=TMS_FIGURES),
            caption="../workflow/report/figure.rst",
            category="tms",
        ),
        record=result("tms", "figures", "presentation.json.prov.json"),
    log:
        log_file("tms", "draw_tms"),
    benchmark:
        benchmark_file("tms", "draw_tms")
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=memory("tms.draw_tms"),
        runtime=run_time("tms.draw_tms"),
    params:
        code=code("draw_tms"),
    message:
        "Drawing the TMS study"
    shell:
        "python scripts/draw_tms.py --code {params.code} --cells {input.cells} "
        "--placements {input.placements} --fields {input.fields} --samples {input.samples} "
        "--dataset {input.dataset} --thresholds {input.thresholds} --predictions {input.predictions} "
        "--checks {input.checks} "
        "--metrics {input.metrics} --floor {input.floor} --comparison {input.comparison} --map {input.map} "
        "--deployment {input.deployment} --presentation {output.presentation} --figures {output.figures} "
        "2>&1 | tee {log}"
