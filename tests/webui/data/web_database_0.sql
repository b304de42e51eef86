SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.ab_api_key (
    id integer NOT NULL,
    uuid character varying(36) NOT NULL,
    name character varying(256) NOT NULL,
    key_hash character varying(256) NOT NULL,
    lookup_hash character varying(256),
    key_prefix character varying(16) NOT NULL,
    user_id integer NOT NULL,
    scopes text,
    active boolean NOT NULL,
    created_on timestamp without time zone,
    expires_on timestamp without time zone,
    revoked_on timestamp without time zone,
    last_used_on timestamp without time zone
);
CREATE SEQUENCE public.ab_api_key_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE public.ab_group (
    id integer NOT NULL,
    name character varying(100) NOT NULL,
    label character varying(150),
    description character varying(512)
);
CREATE SEQUENCE public.ab_group_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE public.ab_group_role (
    id integer NOT NULL,
    group_id integer,
    role_id integer
);
CREATE SEQUENCE public.ab_group_role_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE public.ab_permission (
    id integer NOT NULL,
    name character varying(100) NOT NULL
);
CREATE SEQUENCE public.ab_permission_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE public.ab_permission_view (
    id integer NOT NULL,
    permission_id integer NOT NULL,
    view_menu_id integer NOT NULL
);
CREATE SEQUENCE public.ab_permission_view_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE public.ab_permission_view_role (
    id integer NOT NULL,
    permission_view_id integer,
    role_id integer
);
CREATE SEQUENCE public.ab_permission_view_role_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE public.ab_register_user (
    id integer NOT NULL,
    first_name character varying(64) NOT NULL,
    last_name character varying(64) NOT NULL,
    username character varying(128) NOT NULL,
    password character varying(256),
    email character varying(320) NOT NULL,
    registration_date timestamp without time zone,
    registration_hash character varying(256)
);
CREATE SEQUENCE public.ab_register_user_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE public.ab_role (
    id integer NOT NULL,
    name character varying(64) NOT NULL
);
CREATE SEQUENCE public.ab_role_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE public.ab_user (
    id integer NOT NULL,
    first_name character varying(64) NOT NULL,
    last_name character varying(64) NOT NULL,
    username character varying(128) NOT NULL,
    password character varying(256),
    active boolean,
    email character varying(320) NOT NULL,
    last_login timestamp without time zone,
    login_count integer,
    fail_login_count integer,
    created_on timestamp without time zone,
    changed_on timestamp without time zone,
    created_by_fk integer,
    changed_by_fk integer
);
CREATE TABLE public.ab_user_group (
    id integer NOT NULL,
    user_id integer,
    group_id integer
);
CREATE SEQUENCE public.ab_user_group_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE SEQUENCE public.ab_user_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE public.ab_user_role (
    id integer NOT NULL,
    user_id integer,
    role_id integer
);
CREATE SEQUENCE public.ab_user_role_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE public.ab_view_menu (
    id integer NOT NULL,
    name character varying(250) NOT NULL
);
CREATE SEQUENCE public.ab_view_menu_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE public.gas_api_token (
    id integer NOT NULL,
    token_digest character varying(64) NOT NULL,
    ab_user_id integer NOT NULL,
    scope character varying(200) NOT NULL,
    client_name character varying(100) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    last_used_at timestamp with time zone
);
CREATE SEQUENCE public.gas_api_token_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.gas_api_token_id_seq OWNED BY public.gas_api_token.id;
CREATE TABLE public.gas_idempotency_key (
    key_digest character varying(64) NOT NULL,
    request_digest character varying(64) NOT NULL,
    claim character varying(32) NOT NULL,
    claimed_until timestamp with time zone NOT NULL,
    made_id character varying(36) NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    status integer,
    content_type character varying(100),
    answer text
);
CREATE TABLE public.gas_linked_identity (
    ab_user_id integer NOT NULL,
    "position" integer NOT NULL,
    sub character varying(64) NOT NULL,
    username character varying(200) NOT NULL,
    email character varying(200) NOT NULL,
    organization character varying(200) NOT NULL,
    provider character varying(200) NOT NULL
);
CREATE TABLE public.gas_login_code (
    code_digest character varying(64) NOT NULL,
    ab_user_id integer NOT NULL,
    redirect_uri character varying(300) NOT NULL,
    code_challenge character varying(43) NOT NULL,
    client_name character varying(100) NOT NULL,
    expires_at timestamp with time zone NOT NULL
);
CREATE TABLE public.gas_share_link (
    id integer NOT NULL,
    token_digest character varying(64) NOT NULL,
    user_id character varying(64) NOT NULL,
    job_id character varying(36) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.gas_share_link_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.gas_share_link_id_seq OWNED BY public.gas_share_link.id;
CREATE TABLE public.gas_stripe_account (
    user_id character varying(64) NOT NULL,
    customer_id character varying(255),
    checkout_id character varying(255),
    checkouts integer NOT NULL
);
CREATE TABLE public.gas_stripe_event (
    event_id character varying(255) NOT NULL,
    received_at timestamp with time zone NOT NULL
);
CREATE TABLE public.gas_stripe_subscription (
    subscription_id character varying(255) NOT NULL,
    user_id character varying(64) NOT NULL,
    status character varying(32) NOT NULL,
    ends_at timestamp with time zone
);
CREATE TABLE public.gas_web_session (
    id_digest character varying(64) NOT NULL,
    data text NOT NULL,
    expires_at timestamp with time zone NOT NULL
);
ALTER TABLE ONLY public.gas_api_token ALTER COLUMN id SET DEFAULT nextval('public.gas_api_token_id_seq'::regclass);
ALTER TABLE ONLY public.gas_share_link ALTER COLUMN id SET DEFAULT nextval('public.gas_share_link_id_seq'::regclass);
INSERT INTO public.ab_permission VALUES (1, 'can_(mine|new|one|confirm|delete)$');
INSERT INTO public.ab_permission VALUES (2, 'can_(links|share|revoke)$');
INSERT INTO public.ab_permission VALUES (3, 'can_(cancel|rerun|rename)$');
INSERT INTO public.ab_permission VALUES (4, 'can_table$');
INSERT INTO public.ab_permission VALUES (5, 'can_(table|suggest|export)$');
INSERT INTO public.ab_permission VALUES (6, 'can_(show|change)$');
INSERT INTO public.ab_permission VALUES (7, 'can_(show|sign_out)$');
INSERT INTO public.ab_permission VALUES (8, 'can_(listing|create|revoke)$');
INSERT INTO public.ab_permission VALUES (9, 'can_.*$');
INSERT INTO public.ab_permission VALUES (10, 'can_(show|save|test|secret)$');
INSERT INTO public.ab_permission VALUES (11, 'can_genome$');
INSERT INTO public.ab_permission VALUES (12, 'can_file$');
INSERT INTO public.ab_permission VALUES (13, 'can_(ask|answer)$');
INSERT INTO public.ab_permission VALUES (14, 'can_annotate$');
INSERT INTO public.ab_permission VALUES (15, 'can_(ask|decide)$');
INSERT INTO public.ab_permission VALUES (16, 'can_get$');
INSERT INTO public.ab_permission VALUES (17, 'can_show$');
INSERT INTO public.ab_permission VALUES (18, 'can_edit');
INSERT INTO public.ab_permission VALUES (19, 'can_list');
INSERT INTO public.ab_permission VALUES (20, 'can_show');
INSERT INTO public.ab_permission VALUES (21, 'userinfoedit');
INSERT INTO public.ab_permission VALUES (22, 'can_get');
INSERT INTO public.ab_permission VALUES (23, 'can_mine');
INSERT INTO public.ab_permission VALUES (24, 'can_confirm');
INSERT INTO public.ab_permission VALUES (25, 'can_new');
INSERT INTO public.ab_permission VALUES (26, 'can_one');
INSERT INTO public.ab_permission VALUES (27, 'can_delete');
INSERT INTO public.ab_permission VALUES (28, 'can_change');
INSERT INTO public.ab_permission VALUES (29, 'can_ask');
INSERT INTO public.ab_permission VALUES (30, 'can_decide');
INSERT INTO public.ab_permission VALUES (31, 'can_me');
INSERT INTO public.ab_permission VALUES (32, 'can_unsubscribe');
INSERT INTO public.ab_permission VALUES (33, 'can_subscribe');
INSERT INTO public.ab_permission VALUES (34, 'can_listing');
INSERT INTO public.ab_permission VALUES (35, 'can_begin');
INSERT INTO public.ab_permission VALUES (36, 'can_summary');
INSERT INTO public.ab_permission VALUES (37, 'can_download');
INSERT INTO public.ab_permission VALUES (38, 'can_submit');
INSERT INTO public.ab_permission VALUES (39, 'can_log');
INSERT INTO public.ab_permission VALUES (40, 'can_revoke');
INSERT INTO public.ab_permission VALUES (41, 'can_rename');
INSERT INTO public.ab_permission VALUES (42, 'can_rerun');
INSERT INTO public.ab_permission VALUES (43, 'can_cancel');
INSERT INTO public.ab_permission VALUES (44, 'can_forecast');
INSERT INTO public.ab_permission VALUES (45, 'can_share');
INSERT INTO public.ab_permission VALUES (46, 'can_links');
INSERT INTO public.ab_permission VALUES (47, 'can_revoke_all');
INSERT INTO public.ab_permission VALUES (48, 'can_create');
INSERT INTO public.ab_permission VALUES (49, 'can_sign_out');
INSERT INTO public.ab_permission VALUES (50, 'can_usage');
INSERT INTO public.ab_permission VALUES (51, 'can_secret');
INSERT INTO public.ab_permission VALUES (52, 'can_test');
INSERT INTO public.ab_permission VALUES (53, 'can_save');
INSERT INTO public.ab_permission VALUES (54, 'can_wishes');
INSERT INTO public.ab_permission VALUES (55, 'can_table');
INSERT INTO public.ab_permission VALUES (56, 'can_suggest');
INSERT INTO public.ab_permission VALUES (57, 'can_export');
INSERT INTO public.ab_permission VALUES (58, 'can_answer');
INSERT INTO public.ab_permission VALUES (59, 'can_annotate');
INSERT INTO public.ab_permission VALUES (60, 'can_genome');
INSERT INTO public.ab_permission VALUES (61, 'can_file');
INSERT INTO public.ab_permission VALUES (62, 'can_access');
INSERT INTO public.ab_permission VALUES (63, 'can_task');
INSERT INTO public.ab_permission VALUES (64, 'can_status');
INSERT INTO public.ab_permission VALUES (65, 'can_run');
INSERT INTO public.ab_permission VALUES (66, 'can_tasks');
INSERT INTO public.ab_permission_view VALUES (1, 1, 1);
INSERT INTO public.ab_permission_view VALUES (2, 2, 2);
INSERT INTO public.ab_permission_view VALUES (3, 3, 3);
INSERT INTO public.ab_permission_view VALUES (4, 4, 4);
INSERT INTO public.ab_permission_view VALUES (5, 5, 5);
INSERT INTO public.ab_permission_view VALUES (6, 6, 6);
INSERT INTO public.ab_permission_view VALUES (7, 7, 7);
INSERT INTO public.ab_permission_view VALUES (8, 8, 8);
INSERT INTO public.ab_permission_view VALUES (9, 9, 9);
INSERT INTO public.ab_permission_view VALUES (10, 10, 10);
INSERT INTO public.ab_permission_view VALUES (11, 9, 11);
INSERT INTO public.ab_permission_view VALUES (12, 11, 12);
INSERT INTO public.ab_permission_view VALUES (13, 12, 13);
INSERT INTO public.ab_permission_view VALUES (14, 13, 14);
INSERT INTO public.ab_permission_view VALUES (15, 14, 15);
INSERT INTO public.ab_permission_view VALUES (16, 15, 16);
INSERT INTO public.ab_permission_view VALUES (17, 9, 17);
INSERT INTO public.ab_permission_view VALUES (18, 9, 18);
INSERT INTO public.ab_permission_view VALUES (19, 16, 19);
INSERT INTO public.ab_permission_view VALUES (20, 17, 20);
INSERT INTO public.ab_permission_view VALUES (21, 18, 25);
INSERT INTO public.ab_permission_view VALUES (22, 19, 25);
INSERT INTO public.ab_permission_view VALUES (23, 20, 25);
INSERT INTO public.ab_permission_view VALUES (24, 21, 25);
INSERT INTO public.ab_permission_view VALUES (25, 22, 26);
INSERT INTO public.ab_permission_view VALUES (26, 20, 27);
INSERT INTO public.ab_permission_view VALUES (27, 23, 28);
INSERT INTO public.ab_permission_view VALUES (28, 24, 28);
INSERT INTO public.ab_permission_view VALUES (29, 25, 28);
INSERT INTO public.ab_permission_view VALUES (30, 26, 28);
INSERT INTO public.ab_permission_view VALUES (31, 27, 28);
INSERT INTO public.ab_permission_view VALUES (32, 20, 29);
INSERT INTO public.ab_permission_view VALUES (33, 28, 29);
INSERT INTO public.ab_permission_view VALUES (34, 29, 30);
INSERT INTO public.ab_permission_view VALUES (35, 30, 30);
INSERT INTO public.ab_permission_view VALUES (36, 31, 31);
INSERT INTO public.ab_permission_view VALUES (37, 32, 32);
INSERT INTO public.ab_permission_view VALUES (38, 33, 32);
INSERT INTO public.ab_permission_view VALUES (39, 34, 33);
INSERT INTO public.ab_permission_view VALUES (40, 35, 34);
INSERT INTO public.ab_permission_view VALUES (41, 34, 35);
INSERT INTO public.ab_permission_view VALUES (42, 36, 35);
INSERT INTO public.ab_permission_view VALUES (43, 37, 35);
INSERT INTO public.ab_permission_view VALUES (44, 26, 35);
INSERT INTO public.ab_permission_view VALUES (45, 27, 35);
INSERT INTO public.ab_permission_view VALUES (46, 38, 35);
INSERT INTO public.ab_permission_view VALUES (47, 39, 35);
INSERT INTO public.ab_permission_view VALUES (48, 40, 36);
INSERT INTO public.ab_permission_view VALUES (49, 41, 37);
INSERT INTO public.ab_permission_view VALUES (50, 42, 37);
INSERT INTO public.ab_permission_view VALUES (51, 43, 37);
INSERT INTO public.ab_permission_view VALUES (52, 41, 38);
INSERT INTO public.ab_permission_view VALUES (53, 44, 38);
INSERT INTO public.ab_permission_view VALUES (54, 42, 38);
INSERT INTO public.ab_permission_view VALUES (55, 43, 38);
INSERT INTO public.ab_permission_view VALUES (56, 45, 39);
INSERT INTO public.ab_permission_view VALUES (57, 40, 39);
INSERT INTO public.ab_permission_view VALUES (58, 46, 39);
INSERT INTO public.ab_permission_view VALUES (59, 47, 41);
INSERT INTO public.ab_permission_view VALUES (60, 45, 41);
INSERT INTO public.ab_permission_view VALUES (61, 40, 41);
INSERT INTO public.ab_permission_view VALUES (62, 46, 41);
INSERT INTO public.ab_permission_view VALUES (63, 48, 43);
INSERT INTO public.ab_permission_view VALUES (64, 40, 43);
INSERT INTO public.ab_permission_view VALUES (65, 34, 43);
INSERT INTO public.ab_permission_view VALUES (66, 48, 44);
INSERT INTO public.ab_permission_view VALUES (67, 40, 44);
INSERT INTO public.ab_permission_view VALUES (68, 34, 44);
INSERT INTO public.ab_permission_view VALUES (69, 49, 45);
INSERT INTO public.ab_permission_view VALUES (70, 20, 45);
INSERT INTO public.ab_permission_view VALUES (71, 50, 46);
INSERT INTO public.ab_permission_view VALUES (72, 51, 47);
INSERT INTO public.ab_permission_view VALUES (73, 52, 47);
INSERT INTO public.ab_permission_view VALUES (74, 53, 47);
INSERT INTO public.ab_permission_view VALUES (75, 20, 47);
INSERT INTO public.ab_permission_view VALUES (76, 51, 48);
INSERT INTO public.ab_permission_view VALUES (77, 52, 48);
INSERT INTO public.ab_permission_view VALUES (78, 54, 48);
INSERT INTO public.ab_permission_view VALUES (79, 28, 48);
INSERT INTO public.ab_permission_view VALUES (80, 55, 50);
INSERT INTO public.ab_permission_view VALUES (81, 56, 51);
INSERT INTO public.ab_permission_view VALUES (82, 57, 51);
INSERT INTO public.ab_permission_view VALUES (83, 55, 51);
INSERT INTO public.ab_permission_view VALUES (84, 29, 52);
INSERT INTO public.ab_permission_view VALUES (85, 58, 52);
INSERT INTO public.ab_permission_view VALUES (86, 59, 53);
INSERT INTO public.ab_permission_view VALUES (87, 60, 54);
INSERT INTO public.ab_permission_view VALUES (88, 61, 56);
INSERT INTO public.ab_permission_view VALUES (89, 62, 57);
INSERT INTO public.ab_permission_view VALUES (90, 26, 57);
INSERT INTO public.ab_permission_view VALUES (91, 34, 58);
INSERT INTO public.ab_permission_view VALUES (92, 63, 58);
INSERT INTO public.ab_permission_view VALUES (93, 64, 58);
INSERT INTO public.ab_permission_view VALUES (94, 65, 58);
INSERT INTO public.ab_permission_view VALUES (95, 66, 58);
INSERT INTO public.ab_permission_view VALUES (96, 26, 58);
INSERT INTO public.ab_permission_view VALUES (97, 43, 58);
INSERT INTO public.ab_permission_view_role VALUES (1, 4, 1);
INSERT INTO public.ab_permission_view_role VALUES (2, 9, 1);
INSERT INTO public.ab_permission_view_role VALUES (3, 10, 1);
INSERT INTO public.ab_permission_view_role VALUES (4, 13, 1);
INSERT INTO public.ab_permission_view_role VALUES (5, 8, 1);
INSERT INTO public.ab_permission_view_role VALUES (6, 11, 1);
INSERT INTO public.ab_permission_view_role VALUES (7, 15, 1);
INSERT INTO public.ab_permission_view_role VALUES (8, 16, 1);
INSERT INTO public.ab_permission_view_role VALUES (9, 1, 1);
INSERT INTO public.ab_permission_view_role VALUES (10, 2, 1);
INSERT INTO public.ab_permission_view_role VALUES (11, 14, 1);
INSERT INTO public.ab_permission_view_role VALUES (12, 5, 1);
INSERT INTO public.ab_permission_view_role VALUES (13, 3, 1);
INSERT INTO public.ab_permission_view_role VALUES (14, 12, 1);
INSERT INTO public.ab_permission_view_role VALUES (15, 7, 1);
INSERT INTO public.ab_permission_view_role VALUES (16, 20, 1);
INSERT INTO public.ab_permission_view_role VALUES (17, 18, 1);
INSERT INTO public.ab_permission_view_role VALUES (18, 17, 1);
INSERT INTO public.ab_permission_view_role VALUES (19, 19, 1);
INSERT INTO public.ab_permission_view_role VALUES (20, 6, 1);
INSERT INTO public.ab_permission_view_role VALUES (21, 21, 2);
INSERT INTO public.ab_permission_view_role VALUES (22, 22, 2);
INSERT INTO public.ab_permission_view_role VALUES (23, 23, 2);
INSERT INTO public.ab_permission_view_role VALUES (24, 24, 2);
INSERT INTO public.ab_permission_view_role VALUES (25, 25, 2);
INSERT INTO public.ab_permission_view_role VALUES (26, 26, 2);
INSERT INTO public.ab_permission_view_role VALUES (27, 27, 2);
INSERT INTO public.ab_permission_view_role VALUES (28, 28, 2);
INSERT INTO public.ab_permission_view_role VALUES (29, 29, 2);
INSERT INTO public.ab_permission_view_role VALUES (30, 30, 2);
INSERT INTO public.ab_permission_view_role VALUES (31, 31, 2);
INSERT INTO public.ab_permission_view_role VALUES (32, 32, 2);
INSERT INTO public.ab_permission_view_role VALUES (33, 33, 2);
INSERT INTO public.ab_permission_view_role VALUES (34, 34, 2);
INSERT INTO public.ab_permission_view_role VALUES (35, 35, 2);
INSERT INTO public.ab_permission_view_role VALUES (36, 36, 2);
INSERT INTO public.ab_permission_view_role VALUES (37, 37, 2);
INSERT INTO public.ab_permission_view_role VALUES (38, 38, 2);
INSERT INTO public.ab_permission_view_role VALUES (39, 39, 2);
INSERT INTO public.ab_permission_view_role VALUES (40, 40, 2);
INSERT INTO public.ab_permission_view_role VALUES (41, 41, 2);
INSERT INTO public.ab_permission_view_role VALUES (42, 42, 2);
INSERT INTO public.ab_permission_view_role VALUES (43, 43, 2);
INSERT INTO public.ab_permission_view_role VALUES (44, 44, 2);
INSERT INTO public.ab_permission_view_role VALUES (45, 45, 2);
INSERT INTO public.ab_permission_view_role VALUES (46, 46, 2);
INSERT INTO public.ab_permission_view_role VALUES (47, 47, 2);
INSERT INTO public.ab_permission_view_role VALUES (48, 48, 2);
INSERT INTO public.ab_permission_view_role VALUES (49, 49, 2);
INSERT INTO public.ab_permission_view_role VALUES (50, 50, 2);
INSERT INTO public.ab_permission_view_role VALUES (51, 51, 2);
INSERT INTO public.ab_permission_view_role VALUES (52, 52, 2);
INSERT INTO public.ab_permission_view_role VALUES (53, 53, 2);
INSERT INTO public.ab_permission_view_role VALUES (54, 54, 2);
INSERT INTO public.ab_permission_view_role VALUES (55, 55, 2);
INSERT INTO public.ab_permission_view_role VALUES (56, 56, 2);
INSERT INTO public.ab_permission_view_role VALUES (57, 57, 2);
INSERT INTO public.ab_permission_view_role VALUES (58, 58, 2);
INSERT INTO public.ab_permission_view_role VALUES (59, 59, 2);
INSERT INTO public.ab_permission_view_role VALUES (60, 60, 2);
INSERT INTO public.ab_permission_view_role VALUES (61, 61, 2);
INSERT INTO public.ab_permission_view_role VALUES (62, 62, 2);
INSERT INTO public.ab_permission_view_role VALUES (63, 63, 2);
INSERT INTO public.ab_permission_view_role VALUES (64, 64, 2);
INSERT INTO public.ab_permission_view_role VALUES (65, 65, 2);
INSERT INTO public.ab_permission_view_role VALUES (66, 66, 2);
INSERT INTO public.ab_permission_view_role VALUES (67, 67, 2);
INSERT INTO public.ab_permission_view_role VALUES (68, 68, 2);
INSERT INTO public.ab_permission_view_role VALUES (69, 69, 2);
INSERT INTO public.ab_permission_view_role VALUES (70, 70, 2);
INSERT INTO public.ab_permission_view_role VALUES (71, 71, 2);
INSERT INTO public.ab_permission_view_role VALUES (72, 72, 2);
INSERT INTO public.ab_permission_view_role VALUES (73, 73, 2);
INSERT INTO public.ab_permission_view_role VALUES (74, 74, 2);
INSERT INTO public.ab_permission_view_role VALUES (75, 75, 2);
INSERT INTO public.ab_permission_view_role VALUES (76, 76, 2);
INSERT INTO public.ab_permission_view_role VALUES (77, 77, 2);
INSERT INTO public.ab_permission_view_role VALUES (78, 78, 2);
INSERT INTO public.ab_permission_view_role VALUES (79, 79, 2);
INSERT INTO public.ab_permission_view_role VALUES (80, 80, 2);
INSERT INTO public.ab_permission_view_role VALUES (81, 81, 2);
INSERT INTO public.ab_permission_view_role VALUES (82, 82, 2);
INSERT INTO public.ab_permission_view_role VALUES (83, 83, 2);
INSERT INTO public.ab_permission_view_role VALUES (84, 84, 2);
INSERT INTO public.ab_permission_view_role VALUES (85, 85, 2);
INSERT INTO public.ab_permission_view_role VALUES (86, 86, 2);
INSERT INTO public.ab_permission_view_role VALUES (87, 87, 2);
INSERT INTO public.ab_permission_view_role VALUES (88, 88, 2);
INSERT INTO public.ab_permission_view_role VALUES (89, 89, 2);
INSERT INTO public.ab_permission_view_role VALUES (90, 90, 2);
INSERT INTO public.ab_permission_view_role VALUES (91, 91, 2);
INSERT INTO public.ab_permission_view_role VALUES (92, 92, 2);
INSERT INTO public.ab_permission_view_role VALUES (93, 93, 2);
INSERT INTO public.ab_permission_view_role VALUES (94, 94, 2);
INSERT INTO public.ab_permission_view_role VALUES (95, 95, 2);
INSERT INTO public.ab_permission_view_role VALUES (96, 96, 2);
INSERT INTO public.ab_permission_view_role VALUES (97, 97, 2);
INSERT INTO public.ab_role VALUES (1, 'GAS_User');
INSERT INTO public.ab_role VALUES (2, 'Admin');
INSERT INTO public.ab_role VALUES (3, 'Public');
INSERT INTO public.ab_user VALUES (1, 'Alice', 'Example', '11111111-1111-4111-8111-111111111111', '!', true, 'alice@uchicago.example', '2026-11-25 12:50:03.501894', 1, 0, '2026-11-25 12:50:03.498956', '2026-11-25 12:50:03.498959', NULL, NULL);
INSERT INTO public.ab_user VALUES (2, 'Bob', 'Builder', '22222222-1111-4111-8111-111111111111', '!', true, 'bob@lab.example', '2026-11-25 12:50:03.593528', 1, 0, '2026-11-25 12:50:03.59157', '2026-11-25 12:50:03.591574', NULL, NULL);
INSERT INTO public.ab_user VALUES (3, 'Olga', 'Operator', '44444444-1111-4111-8111-111111111111', '!', true, 'op@lab.example', '2026-11-25 12:50:03.706971', 1, 0, '2026-11-25 12:50:03.702574', '2026-11-25 12:50:03.702579', NULL, NULL);
INSERT INTO public.ab_user_role VALUES (1, 1, 1);
INSERT INTO public.ab_user_role VALUES (2, 2, 1);
INSERT INTO public.ab_user_role VALUES (3, 3, 1);
INSERT INTO public.ab_user_role VALUES (4, 3, 2);
INSERT INTO public.ab_view_menu VALUES (1, 'JobsView$');
INSERT INTO public.ab_view_menu VALUES (2, 'ShareView$');
INSERT INTO public.ab_view_menu VALUES (3, 'JobActionsView$');
INSERT INTO public.ab_view_menu VALUES (4, 'ExploreView$');
INSERT INTO public.ab_view_menu VALUES (5, 'ExploreApi$');
INSERT INTO public.ab_view_menu VALUES (6, 'PlanView$');
INSERT INTO public.ab_view_menu VALUES (7, 'ProfileView$');
INSERT INTO public.ab_view_menu VALUES (8, 'TokensView$');
INSERT INTO public.ab_view_menu VALUES (9, '(TokensApi|UsageApi)$');
INSERT INTO public.ab_view_menu VALUES (10, 'NoticesView$');
INSERT INTO public.ab_view_menu VALUES (11, 'NoticesApi$');
INSERT INTO public.ab_view_menu VALUES (12, 'GenomeView$');
INSERT INTO public.ab_view_menu VALUES (13, 'ReferenceFilesApi$');
INSERT INTO public.ab_view_menu VALUES (14, 'VariantsView$');
INSERT INTO public.ab_view_menu VALUES (15, 'VariantsApi$');
INSERT INTO public.ab_view_menu VALUES (16, 'CommandLineView$');
INSERT INTO public.ab_view_menu VALUES (17, '(AccountApi|SubscriptionApi|ReferencesApi|UploadsApi|JobsApi|JobActionsApi|ShareApi|TokenApi)$');
INSERT INTO public.ab_view_menu VALUES (18, '(WesApi|DrsApi)$');
INSERT INTO public.ab_view_menu VALUES (19, 'OpenApi$');
INSERT INTO public.ab_view_menu VALUES (20, 'SwaggerView$');
INSERT INTO public.ab_view_menu VALUES (21, 'HomeView');
INSERT INTO public.ab_view_menu VALUES (22, 'UtilView');
INSERT INTO public.ab_view_menu VALUES (23, 'LocaleView');
INSERT INTO public.ab_view_menu VALUES (24, 'GlobusAuthView');
INSERT INTO public.ab_view_menu VALUES (25, 'PeopleView');
INSERT INTO public.ab_view_menu VALUES (26, 'OpenApi');
INSERT INTO public.ab_view_menu VALUES (27, 'SwaggerView');
INSERT INTO public.ab_view_menu VALUES (28, 'JobsView');
INSERT INTO public.ab_view_menu VALUES (29, 'PlanView');
INSERT INTO public.ab_view_menu VALUES (30, 'CommandLineView');
INSERT INTO public.ab_view_menu VALUES (31, 'AccountApi');
INSERT INTO public.ab_view_menu VALUES (32, 'SubscriptionApi');
INSERT INTO public.ab_view_menu VALUES (33, 'ReferencesApi');
INSERT INTO public.ab_view_menu VALUES (34, 'UploadsApi');
INSERT INTO public.ab_view_menu VALUES (35, 'JobsApi');
INSERT INTO public.ab_view_menu VALUES (36, 'TokenApi');
INSERT INTO public.ab_view_menu VALUES (37, 'JobActionsView');
INSERT INTO public.ab_view_menu VALUES (38, 'JobActionsApi');
INSERT INTO public.ab_view_menu VALUES (39, 'ShareView');
INSERT INTO public.ab_view_menu VALUES (40, 'SharedView');
INSERT INTO public.ab_view_menu VALUES (41, 'ShareApi');
INSERT INTO public.ab_view_menu VALUES (42, 'SharedApi');
INSERT INTO public.ab_view_menu VALUES (43, 'TokensView');
INSERT INTO public.ab_view_menu VALUES (44, 'TokensApi');
INSERT INTO public.ab_view_menu VALUES (45, 'ProfileView');
INSERT INTO public.ab_view_menu VALUES (46, 'UsageApi');
INSERT INTO public.ab_view_menu VALUES (47, 'NoticesView');
INSERT INTO public.ab_view_menu VALUES (48, 'NoticesApi');
INSERT INTO public.ab_view_menu VALUES (49, 'BillingView');
INSERT INTO public.ab_view_menu VALUES (50, 'ExploreView');
INSERT INTO public.ab_view_menu VALUES (51, 'ExploreApi');
INSERT INTO public.ab_view_menu VALUES (52, 'VariantsView');
INSERT INTO public.ab_view_menu VALUES (53, 'VariantsApi');
INSERT INTO public.ab_view_menu VALUES (54, 'GenomeView');
INSERT INTO public.ab_view_menu VALUES (55, 'IgvView');
INSERT INTO public.ab_view_menu VALUES (56, 'ReferenceFilesApi');
INSERT INTO public.ab_view_menu VALUES (57, 'DrsApi');
INSERT INTO public.ab_view_menu VALUES (58, 'WesApi');
INSERT INTO public.gas_api_token VALUES (1, 'e9706e2c3c21ae853220a55e5821b2104e87c8d2119f7b69f82625db7af22dfe', 1, 'read', 'plots', '2026-11-25 12:50:04.027636+00', '2127-11-25 12:50:04.027636+00', NULL);
INSERT INTO public.gas_api_token VALUES (2, '6d6e5f9430807b9d9421a8de7f0f76ae9fe2d0602dedf8572956684b5b035787', 1, 'read', 'again', '2026-11-25 12:50:04.133192+00', '2126-12-02 12:50:04.133192+00', NULL);
INSERT INTO public.gas_linked_identity VALUES (1, 0, '11111111-1111-4111-8111-111111111111', 'alice@globusid.org', 'alice@uchicago.example', '', 'Globus ID');
INSERT INTO public.gas_linked_identity VALUES (1, 1, '11111111-2222-4222-8222-222222222222', 'alice@work.example', 'alice@uchicago.example', 'UChicago', 'Globus ID');
INSERT INTO public.gas_linked_identity VALUES (2, 0, '22222222-1111-4111-8111-111111111111', 'bob@globusid.org', 'bob@lab.example', '', 'Globus ID');
INSERT INTO public.gas_linked_identity VALUES (3, 0, '44444444-1111-4111-8111-111111111111', 'op@globusid.org', 'op@lab.example', '', 'Globus ID');
INSERT INTO public.gas_share_link VALUES (1, '6329bded9cd9ed9d973942e163596ccce838d06e541310d92b853edf4956cde2', '11111111-1111-4111-8111-111111111111', '5d546df3-c7e4-4d0e-a8ab-0525aa9ad91a', '2026-11-25 12:50:04.092381+00', '2126-12-02 12:50:04.092381+00');
INSERT INTO public.gas_web_session VALUES ('de9585d09fa5b3d92147db78e9e2627565868e10d23457e3cf35a52069bccadc', '{"_fresh":true,"_id":"03f095a1c03fdce8fe2ea94737ef9d62c456faf66d67aac9e9d7b2f6548211aab71d5ce5c550e74c31a055e110b5ce1429cfcf4eb860fe2c460a0c6f830c7f59","_permanent":true,"_user_id":"2"}', '2126-12-02 12:50:03.619913+00');
INSERT INTO public.gas_web_session VALUES ('170bafff9da4adaf38e1a33d439eadd7666eb65f28a5b1c7aab9d4d0aeb76529', '{"_fresh":true,"_id":"03f095a1c03fdce8fe2ea94737ef9d62c456faf66d67aac9e9d7b2f6548211aab71d5ce5c550e74c31a055e110b5ce1429cfcf4eb860fe2c460a0c6f830c7f59","_permanent":true,"_user_id":"3"}', '2126-12-02 12:50:03.718576+00');
INSERT INTO public.gas_web_session VALUES ('771d4f3d9d8446cfc64d9d165a2dab38cca2a9e792f97779f5bfde0e2c197517', '{"_fresh":true,"_id":"03f095a1c03fdce8fe2ea94737ef9d62c456faf66d67aac9e9d7b2f6548211aab71d5ce5c550e74c31a055e110b5ce1429cfcf4eb860fe2c460a0c6f830c7f59","_permanent":true,"_user_id":"1","csrf_token":"234c127ba57d90dde3e57e46c377b7b048dd00b0"}', '2126-12-02 12:50:04.009689+00');
SELECT pg_catalog.setval('public.ab_api_key_id_seq', 1, false);
SELECT pg_catalog.setval('public.ab_group_id_seq', 1, false);
SELECT pg_catalog.setval('public.ab_group_role_id_seq', 1, false);
SELECT pg_catalog.setval('public.ab_permission_id_seq', 66, true);
SELECT pg_catalog.setval('public.ab_permission_view_id_seq', 97, true);
SELECT pg_catalog.setval('public.ab_permission_view_role_id_seq', 97, true);
SELECT pg_catalog.setval('public.ab_register_user_id_seq', 1, false);
SELECT pg_catalog.setval('public.ab_role_id_seq', 3, true);
SELECT pg_catalog.setval('public.ab_user_group_id_seq', 1, false);
SELECT pg_catalog.setval('public.ab_user_id_seq', 3, true);
SELECT pg_catalog.setval('public.ab_user_role_id_seq', 4, true);
SELECT pg_catalog.setval('public.ab_view_menu_id_seq', 58, true);
SELECT pg_catalog.setval('public.gas_api_token_id_seq', 2, true);
SELECT pg_catalog.setval('public.gas_share_link_id_seq', 1, true);
ALTER TABLE ONLY public.ab_api_key
    ADD CONSTRAINT ab_api_key_lookup_hash_key UNIQUE (lookup_hash);
ALTER TABLE ONLY public.ab_api_key
    ADD CONSTRAINT ab_api_key_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.ab_api_key
    ADD CONSTRAINT ab_api_key_uuid_key UNIQUE (uuid);
ALTER TABLE ONLY public.ab_group
    ADD CONSTRAINT ab_group_name_key UNIQUE (name);
ALTER TABLE ONLY public.ab_group
    ADD CONSTRAINT ab_group_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.ab_group_role
    ADD CONSTRAINT ab_group_role_group_id_role_id_key UNIQUE (group_id, role_id);
ALTER TABLE ONLY public.ab_group_role
    ADD CONSTRAINT ab_group_role_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.ab_permission
    ADD CONSTRAINT ab_permission_name_key UNIQUE (name);
ALTER TABLE ONLY public.ab_permission
    ADD CONSTRAINT ab_permission_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.ab_permission_view
    ADD CONSTRAINT ab_permission_view_permission_id_view_menu_id_key UNIQUE (permission_id, view_menu_id);
ALTER TABLE ONLY public.ab_permission_view
    ADD CONSTRAINT ab_permission_view_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.ab_permission_view_role
    ADD CONSTRAINT ab_permission_view_role_permission_view_id_role_id_key UNIQUE (permission_view_id, role_id);
ALTER TABLE ONLY public.ab_permission_view_role
    ADD CONSTRAINT ab_permission_view_role_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.ab_register_user
    ADD CONSTRAINT ab_register_user_email_key UNIQUE (email);
ALTER TABLE ONLY public.ab_register_user
    ADD CONSTRAINT ab_register_user_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.ab_register_user
    ADD CONSTRAINT ab_register_user_username_key UNIQUE (username);
ALTER TABLE ONLY public.ab_role
    ADD CONSTRAINT ab_role_name_key UNIQUE (name);
ALTER TABLE ONLY public.ab_role
    ADD CONSTRAINT ab_role_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.ab_user
    ADD CONSTRAINT ab_user_email_key UNIQUE (email);
ALTER TABLE ONLY public.ab_user_group
    ADD CONSTRAINT ab_user_group_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.ab_user_group
    ADD CONSTRAINT ab_user_group_user_id_group_id_key UNIQUE (user_id, group_id);
ALTER TABLE ONLY public.ab_user
    ADD CONSTRAINT ab_user_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.ab_user_role
    ADD CONSTRAINT ab_user_role_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.ab_user_role
    ADD CONSTRAINT ab_user_role_user_id_role_id_key UNIQUE (user_id, role_id);
ALTER TABLE ONLY public.ab_user
    ADD CONSTRAINT ab_user_username_key UNIQUE (username);
ALTER TABLE ONLY public.ab_view_menu
    ADD CONSTRAINT ab_view_menu_name_key UNIQUE (name);
ALTER TABLE ONLY public.ab_view_menu
    ADD CONSTRAINT ab_view_menu_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.gas_api_token
    ADD CONSTRAINT gas_api_token_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.gas_api_token
    ADD CONSTRAINT gas_api_token_token_digest_key UNIQUE (token_digest);
ALTER TABLE ONLY public.gas_idempotency_key
    ADD CONSTRAINT gas_idempotency_key_pkey PRIMARY KEY (key_digest);
ALTER TABLE ONLY public.gas_linked_identity
    ADD CONSTRAINT gas_linked_identity_pkey PRIMARY KEY (ab_user_id, "position");
ALTER TABLE ONLY public.gas_login_code
    ADD CONSTRAINT gas_login_code_pkey PRIMARY KEY (code_digest);
ALTER TABLE ONLY public.gas_share_link
    ADD CONSTRAINT gas_share_link_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.gas_share_link
    ADD CONSTRAINT gas_share_link_token_digest_key UNIQUE (token_digest);
ALTER TABLE ONLY public.gas_stripe_account
    ADD CONSTRAINT gas_stripe_account_pkey PRIMARY KEY (user_id);
ALTER TABLE ONLY public.gas_stripe_event
    ADD CONSTRAINT gas_stripe_event_pkey PRIMARY KEY (event_id);
ALTER TABLE ONLY public.gas_stripe_subscription
    ADD CONSTRAINT gas_stripe_subscription_pkey PRIMARY KEY (subscription_id);
ALTER TABLE ONLY public.gas_web_session
    ADD CONSTRAINT gas_web_session_pkey PRIMARY KEY (id_digest);
CREATE UNIQUE INDEX idx_api_key_lookup_hash ON public.ab_api_key USING btree (lookup_hash);
CREATE INDEX idx_api_key_prefix ON public.ab_api_key USING btree (key_prefix);
CREATE INDEX idx_api_key_user_id ON public.ab_api_key USING btree (user_id);
CREATE INDEX idx_group_id ON public.ab_group_role USING btree (group_id);
CREATE INDEX idx_group_role_id ON public.ab_group_role USING btree (role_id);
CREATE INDEX idx_permission_id ON public.ab_permission_view USING btree (permission_id);
CREATE INDEX idx_permission_view_id ON public.ab_permission_view_role USING btree (permission_view_id);
CREATE INDEX idx_role_id ON public.ab_permission_view_role USING btree (role_id);
CREATE INDEX idx_user_group_id ON public.ab_user_group USING btree (group_id);
CREATE INDEX idx_user_id ON public.ab_user_group USING btree (user_id);
CREATE INDEX idx_view_menu_id ON public.ab_permission_view USING btree (view_menu_id);
CREATE INDEX ix_gas_api_token_ab_user_id ON public.gas_api_token USING btree (ab_user_id);
CREATE INDEX ix_gas_api_token_expires_at ON public.gas_api_token USING btree (expires_at);
CREATE INDEX ix_gas_idempotency_key_expires_at ON public.gas_idempotency_key USING btree (expires_at);
CREATE INDEX ix_gas_login_code_expires_at ON public.gas_login_code USING btree (expires_at);
CREATE INDEX ix_gas_share_link_expires_at ON public.gas_share_link USING btree (expires_at);
CREATE INDEX ix_gas_share_link_job_id ON public.gas_share_link USING btree (job_id);
CREATE INDEX ix_gas_stripe_event_received_at ON public.gas_stripe_event USING btree (received_at);
CREATE INDEX ix_gas_stripe_subscription_user_id ON public.gas_stripe_subscription USING btree (user_id);
CREATE INDEX ix_gas_web_session_expires_at ON public.gas_web_session USING btree (expires_at);
ALTER TABLE ONLY public.ab_api_key
    ADD CONSTRAINT ab_api_key_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.ab_user(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.ab_group_role
    ADD CONSTRAINT ab_group_role_group_id_fkey FOREIGN KEY (group_id) REFERENCES public.ab_group(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.ab_group_role
    ADD CONSTRAINT ab_group_role_role_id_fkey FOREIGN KEY (role_id) REFERENCES public.ab_role(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.ab_permission_view
    ADD CONSTRAINT ab_permission_view_permission_id_fkey FOREIGN KEY (permission_id) REFERENCES public.ab_permission(id);
ALTER TABLE ONLY public.ab_permission_view_role
    ADD CONSTRAINT ab_permission_view_role_permission_view_id_fkey FOREIGN KEY (permission_view_id) REFERENCES public.ab_permission_view(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.ab_permission_view_role
    ADD CONSTRAINT ab_permission_view_role_role_id_fkey FOREIGN KEY (role_id) REFERENCES public.ab_role(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.ab_permission_view
    ADD CONSTRAINT ab_permission_view_view_menu_id_fkey FOREIGN KEY (view_menu_id) REFERENCES public.ab_view_menu(id);
ALTER TABLE ONLY public.ab_user
    ADD CONSTRAINT ab_user_changed_by_fk_fkey FOREIGN KEY (changed_by_fk) REFERENCES public.ab_user(id);
ALTER TABLE ONLY public.ab_user
    ADD CONSTRAINT ab_user_created_by_fk_fkey FOREIGN KEY (created_by_fk) REFERENCES public.ab_user(id);
ALTER TABLE ONLY public.ab_user_group
    ADD CONSTRAINT ab_user_group_group_id_fkey FOREIGN KEY (group_id) REFERENCES public.ab_group(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.ab_user_group
    ADD CONSTRAINT ab_user_group_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.ab_user(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.ab_user_role
    ADD CONSTRAINT ab_user_role_role_id_fkey FOREIGN KEY (role_id) REFERENCES public.ab_role(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.ab_user_role
    ADD CONSTRAINT ab_user_role_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.ab_user(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.gas_api_token
    ADD CONSTRAINT gas_api_token_ab_user_id_fkey FOREIGN KEY (ab_user_id) REFERENCES public.ab_user(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.gas_linked_identity
    ADD CONSTRAINT gas_linked_identity_ab_user_id_fkey FOREIGN KEY (ab_user_id) REFERENCES public.ab_user(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.gas_login_code
    ADD CONSTRAINT gas_login_code_ab_user_id_fkey FOREIGN KEY (ab_user_id) REFERENCES public.ab_user(id) ON DELETE CASCADE;
