-- ALICE Bookkeeping's present schema on MariaDB, as far as it matters: what the application's migrations make. The keys that
-- they give names of their own have the names that MariaDB gives. Its trigger on runs is written down again, by its rule.

CREATE TABLE users (
    id int NOT NULL AUTO_INCREMENT PRIMARY KEY, external_id int NOT NULL, name varchar(255),
    created_at datetime NOT NULL DEFAULT current_timestamp(),
    updated_at datetime NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp()
);
CREATE TABLE runs (
    id int NOT NULL AUTO_INCREMENT PRIMARY KEY,
    time_o2_start datetime(3), time_o2_end datetime(3), time_trg_start datetime(3), time_trg_end datetime(3),
    first_tf_timestamp datetime(3), last_tf_timestamp datetime(3),
    time_start datetime(3) GENERATED ALWAYS AS (coalesce(time_trg_start, time_trg_end)) VIRTUAL,
    qc_time_start datetime(3) GENERATED ALWAYS AS (coalesce(first_tf_timestamp, time_trg_start, time_o2_start)) VIRTUAL,
    qc_time_end datetime(3) GENERATED ALWAYS AS (coalesce(last_tf_timestamp, time_trg_end, time_o2_end)) VIRTUAL,
    time_end datetime(3) GENERATED ALWAYS AS (coalesce(time_trg_end, time_o2_end)) VIRTUAL,
    duration int GENERATED ALWAYS AS (to_seconds(time_end) - to_seconds(time_start)) VIRTUAL,
    run_number int NOT NULL UNIQUE, pdp_beam_type varchar(255), dcs tinyint(1), lhc_beam_energy float,
    run_quality enum('good', 'bad', 'test', 'none') NOT NULL DEFAULT 'none',
    definition enum('PHYSICS', 'COSMICS', 'TECHNICAL', 'SYNTHETIC', 'CALIBRATION', 'COMMISSIONING') NOT NULL,
    calibration_status enum('SUCCESS', 'FAILED', 'NO STATUS'),
    created_at datetime NOT NULL DEFAULT current_timestamp(),
    updated_at datetime NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(),
    KEY runs_duration_idx (duration)
);
CREATE TABLE detectors (
    id int NOT NULL AUTO_INCREMENT PRIMARY KEY, name char(32) UNIQUE,
    created_at datetime NOT NULL DEFAULT current_timestamp(),
    updated_at datetime NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(),
    type enum('PHYSICAL', 'QC', 'AOT-GLO', 'AOT-EVENT', 'MUON-GLO', 'VIRTUAL', 'OTHER') NOT NULL
);
CREATE TABLE run_detectors (
    run_number int NOT NULL, detector_id int NOT NULL, quality enum('good', 'bad') NOT NULL,
    created_at datetime NOT NULL DEFAULT current_timestamp(),
    updated_at datetime NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(),
    PRIMARY KEY (run_number, detector_id),
    FOREIGN KEY (detector_id) REFERENCES detectors (id) ON UPDATE CASCADE,
    FOREIGN KEY (run_number) REFERENCES runs (run_number)
);
CREATE TABLE data_passes (
    id int NOT NULL AUTO_INCREMENT PRIMARY KEY, name varchar(255) NOT NULL UNIQUE, lhc_period_id int,
    created_at datetime NOT NULL DEFAULT current_timestamp(),
    updated_at datetime NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(),
    skimming_stage enum('Skimmable', 'Skimming', 'Skimmed', 'PostSkimmed'), is_frozen tinyint(1) NOT NULL DEFAULT 0
);
CREATE TABLE data_passes_runs (
    data_pass_id int NOT NULL, run_number int NOT NULL, ready_for_skimming tinyint(1),
    created_at datetime NOT NULL DEFAULT current_timestamp(),
    updated_at datetime NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(),
    PRIMARY KEY (data_pass_id, run_number), KEY run_number (run_number),
    FOREIGN KEY (data_pass_id) REFERENCES data_passes (id),
    FOREIGN KEY (run_number) REFERENCES runs (run_number)
);
CREATE TABLE simulation_passes (
    id int NOT NULL AUTO_INCREMENT PRIMARY KEY, name varchar(255) UNIQUE, description text,
    created_at datetime NOT NULL DEFAULT current_timestamp(),
    updated_at datetime NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp()
);
CREATE TABLE quality_control_flag_types (
    id int NOT NULL AUTO_INCREMENT PRIMARY KEY, name varchar(255) NOT NULL UNIQUE, method varchar(255) NOT NULL UNIQUE,
    bad tinyint(1) NOT NULL, color varchar(7), archived_at datetime, last_updated_by_id int, created_by_id int NOT NULL,
    created_at datetime NOT NULL DEFAULT current_timestamp(),
    updated_at datetime NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(),
    monte_carlo_reproducible tinyint(1) DEFAULT 0,
    FOREIGN KEY (last_updated_by_id) REFERENCES users (id), FOREIGN KEY (created_by_id) REFERENCES users (id)
);
CREATE TABLE quality_control_flags (
    id int NOT NULL AUTO_INCREMENT PRIMARY KEY, deleted tinyint(1) NOT NULL DEFAULT 0,
    `from` datetime(3), `to` datetime(3), comment text,
    created_by_id int NOT NULL, flag_type_id int NOT NULL, run_number int NOT NULL, detector_id int NOT NULL,
    created_at datetime(3) NOT NULL DEFAULT current_timestamp(3),
    updated_at datetime(3) NOT NULL DEFAULT current_timestamp(3) ON UPDATE current_timestamp(3),
    origin varchar(255),
    KEY quality_control_flags_run_detector_idx (run_number, detector_id),
    FOREIGN KEY (detector_id) REFERENCES detectors (id), FOREIGN KEY (created_by_id) REFERENCES users (id),
    FOREIGN KEY (flag_type_id) REFERENCES quality_control_flag_types (id),
    FOREIGN KEY (run_number) REFERENCES runs (run_number)
);
CREATE TABLE data_pass_quality_control_flag (
    data_pass_id int NOT NULL, quality_control_flag_id int NOT NULL,
    created_at datetime NOT NULL DEFAULT current_timestamp(),
    updated_at datetime NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(),
    PRIMARY KEY (data_pass_id, quality_control_flag_id), KEY quality_control_flag_id (quality_control_flag_id),
    FOREIGN KEY (data_pass_id) REFERENCES data_passes (id),
    FOREIGN KEY (quality_control_flag_id) REFERENCES quality_control_flags (id)
);
CREATE TABLE simulation_pass_quality_control_flag (
    simulation_pass_id int NOT NULL, quality_control_flag_id int NOT NULL,
    created_at datetime NOT NULL DEFAULT current_timestamp(),
    updated_at datetime NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(),
    PRIMARY KEY (simulation_pass_id, quality_control_flag_id), KEY quality_control_flag_id (quality_control_flag_id),
    FOREIGN KEY (simulation_pass_id) REFERENCES simulation_passes (id),
    FOREIGN KEY (quality_control_flag_id) REFERENCES quality_control_flags (id)
);
CREATE TABLE quality_control_flag_effective_periods (
    id int NOT NULL AUTO_INCREMENT PRIMARY KEY, flag_id int NOT NULL, `from` datetime(3), `to` datetime(3),
    created_at datetime(3) NOT NULL DEFAULT current_timestamp(3),
    updated_at datetime(3) NOT NULL DEFAULT current_timestamp(3) ON UPDATE current_timestamp(3),
    FOREIGN KEY (flag_id) REFERENCES quality_control_flags (id)
);
CREATE TABLE quality_control_flag_verifications (
    id int NOT NULL AUTO_INCREMENT PRIMARY KEY, comment text, flag_id int NOT NULL, created_by_id int NOT NULL,
    created_at datetime NOT NULL DEFAULT current_timestamp(),
    updated_at datetime NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(),
    FOREIGN KEY (flag_id) REFERENCES quality_control_flags (id), FOREIGN KEY (created_by_id) REFERENCES users (id)
);
CREATE TABLE global_aggregated_quality_detectors (
    id int NOT NULL AUTO_INCREMENT PRIMARY KEY, data_pass_id int NOT NULL, run_number int NOT NULL, detector_id int NOT NULL,
    created_at datetime NOT NULL DEFAULT current_timestamp(),
    updated_at datetime NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(),
    KEY data_pass_id (data_pass_id), KEY run_number (run_number),
    FOREIGN KEY (detector_id) REFERENCES detectors (id), FOREIGN KEY (data_pass_id) REFERENCES data_passes (id),
    FOREIGN KEY (run_number) REFERENCES runs (run_number)
);
CREATE TABLE gaq_summaries (
    data_pass_id int NOT NULL, run_number int NOT NULL,
    bad_run_coverage float, explicitly_not_bad_run_coverage float, mc_reproducible_coverage float,
    missing_verifications_count int, undefined_quality_periods_count int,
    not_computable tinyint(1) NOT NULL DEFAULT 0, invalidated_at datetime(3),
    created_at datetime(3) NOT NULL DEFAULT current_timestamp(3),
    updated_at datetime(3) NOT NULL DEFAULT current_timestamp(3) ON UPDATE current_timestamp(3),
    PRIMARY KEY (data_pass_id, run_number), KEY gaq_summaries_invalidated_at_idx (invalidated_at),
    FOREIGN KEY (data_pass_id) REFERENCES data_passes (id), FOREIGN KEY (run_number) REFERENCES runs (run_number)
);

INSERT INTO users (id, external_id, name) VALUES (7, 7, 'somebody');

DELIMITER //
CREATE TRIGGER qcf_boundaries_update_on_run_timestamps_update AFTER UPDATE ON runs FOR EACH ROW
BEGIN
    IF OLD.qc_time_start <> NEW.qc_time_start THEN
        UPDATE quality_control_flags f JOIN quality_control_flag_effective_periods p ON p.flag_id = f.id
        SET f.`from` = NULL, p.`from` = NULL
        WHERE f.run_number = NEW.run_number AND f.`from` <= NEW.qc_time_start AND p.`from` <= NEW.qc_time_start;
    END IF;
    IF OLD.qc_time_end <> NEW.qc_time_end THEN
        UPDATE quality_control_flags f JOIN quality_control_flag_effective_periods p ON p.flag_id = f.id
        SET f.`to` = NULL, p.`to` = NULL
        WHERE f.run_number = NEW.run_number AND f.`to` >= NEW.qc_time_end AND p.`to` >= NEW.qc_time_end;
    END IF;
    IF OLD.qc_time_start <> NEW.qc_time_start OR OLD.qc_time_end <> NEW.qc_time_end THEN
        DELETE p FROM quality_control_flag_effective_periods p JOIN quality_control_flags f ON f.id = p.flag_id
        WHERE f.run_number = NEW.run_number AND (p.`to` <= NEW.qc_time_start OR p.`from` >= NEW.qc_time_end);
        UPDATE quality_control_flags SET deleted = 1
        WHERE run_number = NEW.run_number AND (`to` <= NEW.qc_time_start OR `from` >= NEW.qc_time_end);
    END IF;
END//
DELIMITER ;
